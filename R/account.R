# The account and the stack that a call is about.

# How AWS is reached. `NULL` leaves it to the environment.
account_access <- function(region = NULL, profile = NULL) {
  profile <- profile %||% getOption("starburst.profile")
  list(region = if (!is.null(region)) enc2utf8(region), profile = if (!is.null(profile)) enc2utf8(profile))
}

access_of <- function(record) account_access(record[["region"]], record[["profile"]])

check_place <- function(region, profile, stack, call) {
  check_string(region, "region", call, null = TRUE)
  check_string(profile, "profile", call, null = TRUE)
  check_string(stack, "stack", call, null = TRUE)
}

# The stacks that are known and fit what was named. Only where several fit do options, settings and the environment count.
fitting_stacks <- function(region, profile, stack, call) {
  # A wish is a field and its value, or the field alone when nothing is wished.
  narrow <- function(stacks, wish) {
    if (length(wish) < 2L || !nzchar(wish[[2L]])) {
      return(stacks)
    }
    Filter(function(record) identical(record[[wish[[1L]]]], wish[[2L]]), stacks)
  }
  stacks <- read_config(call)$stacks
  for (wish in list(c("region", region), c("profile", profile), c("stack", stack))) {
    stacks <- narrow(stacks, wish)
  }
  hints <- list(
    c("stack", getOption("starburst.stack")),
    c("profile", getOption("starburst.profile")),
    c("region", config_defaults(call)$region),
    c("profile", Sys.getenv("AWS_PROFILE")),
    c("region", Sys.getenv("AWS_REGION", Sys.getenv("AWS_DEFAULT_REGION")))
  )
  for (hint in hints) {
    fewer <- if (length(stacks) > 1L) narrow(stacks, hint)
    if (length(fewer)) {
      stacks <- fewer
    }
  }
  stacks
}

# The record of the stack to work with: a list with the fields of `stack_fields`, those that are known.
account_settings <- function(region = NULL, profile = NULL, stack = NULL, call = rlang::caller_env()) {
  check_place(region, profile, stack, call)
  found <- fitting_stacks(region, profile, stack, call)
  if (length(found) == 1L) {
    return(found[[1L]])
  }
  if (length(found) > 1L) {
    abort_several(found, call)
  }
  named <- c(
    if (!is.null(stack)) sprintf("stack `%s`", stack),
    if (!is.null(region)) sprintf("region `%s`", region),
    if (!is.null(profile)) sprintf("profile `%s`", profile)
  )
  arguments <- c(
    if (!is.null(region)) sprintf("region = \"%s\"", region),
    if (!is.null(profile)) sprintf("profile = \"%s\"", profile),
    if (!is.null(stack)) sprintf("stack = \"%s\"", stack)
  )
  what <- if (length(named)) paste(" for", paste(named, collapse = ", ")) else ""
  starburst_abort(
    c(
      sprintf("starburst is not set up on AWS%s", what),
      i = sprintf(
        "run `starburst_setup(%s)`, which also finds what an administrator has set up",
        paste(arguments, collapse = ", ")
      ),
      i = "or use `launch_type = \"LOCAL\"` to run workers on this machine"
    ),
    kind = "not_set_up",
    call = call
  )
}

abort_several <- function(found, call) {
  each <- vapply(
    found,
    function(record) {
      profile <- if (is.null(record$profile)) "" else sprintf(", profile `%s`", record$profile)
      sprintf("stack `%s` in `%s`%s", record$stack, record$region, profile)
    },
    ""
  )
  starburst_abort(
    c(
      sprintf("there are %s stacks to choose from", length(found)),
      rlang::set_names(each, rep("x", length(each))),
      i = "name one by `region`, or by `options(starburst.stack = )` or `options(starburst.profile = )`"
    ),
    kind = "invalid_input",
    arg = "region",
    call = call
  )
}

# The record of a stack if it is known, else only its name and place: for what must work without a configuration.
stack_or_name <- function(region, profile, stack, call) {
  check_place(region, profile, stack, call)
  found <- fitting_stacks(region, profile, stack, call)
  if (length(found) > 1L) {
    abort_several(found, call)
  }
  if (length(found) == 1L) {
    return(found[[1L]])
  }
  access <- account_access(region %||% config_defaults(call)$region, profile)
  c(list(stack = stack %||% "starburst"), Filter(Negate(is.null), access))
}

instances_of <- function(record) {
  if (is.null(record$instances)) character() else strsplit(record$instances, ",", fixed = TRUE)[[1L]]
}

read_template <- function(name) {
  file <- system.file("cloudformation", name, package = "starburst", mustWork = TRUE)
  paste0(readLines(file, encoding = "UTF-8", warn = FALSE), "\n", collapse = "")
}
