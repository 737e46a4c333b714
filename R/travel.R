# What a worker's R takes over from this R, beside the tasks: options, locale, time zone, variables by name, secrets.

# Change what code computes or how numbers become text, and mean the same on every machine.
traveling_options <- c(
  "contrasts",
  "digits",
  "digits.secs",
  "encoding",
  "na.action",
  "OutDec",
  "scipen",
  "ts.eps"
)

# The manifest holds all of it, and is read often.
most_travel_bytes <- 64 * 1024

# Set by the worker, or of no use to it.
own_options <- "^(mc[.]cores|(future|parallelly|starburst)[.].*)$"
own_variables <- "^(R_HOME|R_LIBS.*|TMPDIR|LD_LIBRARY_PATH|PATH|HOME|STARBURST_.*|AWS_.*|ECS_.*)$"

# As the native side takes it.
travel_config <- function(call) {
  state <- list(options = options_that_travel(call), locale = locale_that_travels(call))
  bytes <- serialize(state, NULL, version = 3L)
  if (length(bytes) > most_travel_bytes) {
    sizes <- vapply(state$options, utils::object.size, 0)
    abort_input(
      "options(starburst.options = )",
      sprintf("larger, above all `%s`", names(which.max(sizes))),
      "names of options with 64 KB in all",
      call
    )
  }
  variables <- variables_that_travel(call)
  list(
    travel_state = bytes,
    travel_names = names(variables) %||% character(),
    travel_values = enc2utf8(unname(variables))
  )
}

options_that_travel <- function(call) {
  chosen <- getOption("starburst.options", traveling_options)
  check_characters(chosen, "options(starburst.options = )", call, null = FALSE)
  own <- grep(own_options, chosen, value = TRUE)
  if (length(own)) {
    abort_input(
      "options(starburst.options = )",
      describe(own[[1L]]),
      "without mc.cores and the options of future, parallelly and starburst, which a worker has of its own",
      call
    )
  }
  Filter(Negate(is.null), options()[in_order(chosen)])
}

locale_categories <- c("LC_COLLATE", "LC_CTYPE", "LC_MONETARY", "LC_TIME")

# `options(starburst.locale = )`: NULL for that of this R, FALSE for the worker's own, or categories by name.
locale_that_travels <- function(call) {
  chosen <- getOption("starburst.locale")
  if (isFALSE(chosen)) {
    return(character())
  }
  if (is.null(chosen)) {
    return(vapply(rlang::set_names(locale_categories), Sys.getlocale, ""))
  }
  if (
    !is.character(chosen) ||
      anyNA(chosen) ||
      !all(names(chosen) %in% locale_categories) ||
      is.null(names(chosen))
  ) {
    allowed <- sprintf(
      "FALSE, or a character vector with names among %s",
      paste(locale_categories, collapse = ", ")
    )
    abort_input("options(starburst.locale = )", describe(chosen), allowed, call)
  }
  chosen
}

variables_that_travel <- function(call) {
  chosen <- getOption("starburst.envvars", character())
  where <- "options(starburst.envvars = )"
  check_variable_names(chosen, where, call)
  # One by one: asked for none, Sys.getenv() gives all.
  values <- vapply(rlang::set_names(unique(chosen)), Sys.getenv, "", unset = NA)
  if (anyNA(values)) {
    unset <- names(values)[is.na(values)][[1L]]
    abort_input(
      where,
      sprintf("%s, which is not set", describe(unset)),
      "names of environment variables that are set",
      call
    )
  }
  zone <- time_zone()
  if (!is.null(zone) && !"TZ" %in% chosen) {
    values <- c(values, TZ = zone)
  }
  if (sum(nchar(values, "bytes")) > most_travel_bytes) {
    abort_input(
      where,
      sprintf("larger, above all `%s`", names(which.max(nchar(values)))),
      "names of variables with 64 KB in all",
      call
    )
  }
  values
}

# The name of this R's time zone, or NULL where only the system knows it.
time_zone <- function(link = "/etc/localtime", file = "/etc/timezone") {
  zone <- Sys.getenv("TZ")
  if (!nzchar(zone) && .Platform$OS.type == "windows") {
    zone <- Sys.timezone()
  } else if (!nzchar(zone) && file.exists(link)) {
    # Sys.timezone() asks a program that complains where there is no systemd.
    found <- normalizePath(link)
    zone <- if (grepl("/zoneinfo[^/]*/", found)) sub("^.*/zoneinfo[^/]*/", "", found) else ""
  }
  if (!nzchar(zone) && file.exists(file)) {
    zone <- trimws(readLines(file, n = 1L, warn = FALSE))
  }
  if (length(zone) == 1L && !is.na(zone) && nzchar(zone)) zone
}

check_variable_names <- function(names, arg, call) {
  check_characters(names, arg, call, null = FALSE)
  odd <- names[!grepl("^[A-Za-z_][A-Za-z0-9_]*$", names)]
  if (length(odd)) {
    abort_input(arg, describe(odd[[1L]]), "names of environment variables", call)
  }
  own <- grep(own_variables, names, value = TRUE)
  if (length(own)) {
    allowed <- paste(
      "without the variables of R's and the system's folders, of starburst and of AWS, which a worker has of its own",
      "(it acts as the role of the stack)"
    )
    abort_input(arg, describe(own[[1L]]), allowed, call)
  }
}

secret_form <- paste0(
  "^arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^[:space:]:]+(:[^[:space:]:]*){0,3}",
  "|ssm:[a-z0-9-]+:[0-9]{12}:parameter/[^[:space:]]+)$"
)

# `options(starburst.secrets = c(NAME = "arn:..."))`: ECS puts the secret into the variable; its value never comes here.
check_secrets <- function(call) {
  secrets <- getOption("starburst.secrets", character())
  where <- "options(starburst.secrets = )"
  check_characters(secrets, where, call, null = FALSE)
  if (length(secrets) == 0L) {
    return(rlang::set_names(character(), character()))
  }
  check_variable_names(names(secrets) %||% "", where, call)
  if (anyDuplicated(names(secrets))) {
    abort_input(
      where,
      "two secrets for one variable",
      "a character vector with a name of its own for each",
      call
    )
  }
  odd <- which(!grepl(secret_form, secrets))
  if (length(odd)) {
    # What is given instead of an ARN may be the secret itself: it is not shown.
    abort_input(
      where,
      sprintf("something else for `%s`", names(secrets)[[odd[[1L]]]]),
      paste(
        "ARNs by the names of variables, such as",
        "c(DB_PASSWORD = \"arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf\")"
      ),
      call
    )
  }
  secrets[in_order(names(secrets))]
}

# Workers of this machine have this R's own variables: what a secret would be put into must be there.
check_local_secrets <- function(call) {
  names <- names(check_secrets(call))
  unset <- names[!vapply(names, function(name) nzchar(Sys.getenv(name)), NA)]
  if (length(unset)) {
    starburst_abort(
      c(
        sprintf("the secret `%s` is not there for workers of this machine", unset[[1L]]),
        x = "with `launch_type = \"LOCAL\"` nothing is asked of AWS",
        i = sprintf("set the environment variable `%s` yourself, as `Sys.setenv()` does", unset[[1L]])
      ),
      kind = "invalid_input",
      arg = "options(starburst.secrets = )",
      call = call
    )
  }
}
