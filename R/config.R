#' Settings that stay
#'
#' Without arguments `starburst_config()` shows what is set; with arguments it
#' stores them, for this and every later R session of yours.
#'
#' A value comes from the first of these that has one: the argument of a call;
#' `options(starburst.<name> = )` (for `auto_quota_request` also
#' `options(starburst.auto_quota = )`); what `starburst_config()` stored; what
#' is built in.
#'
#' @param ... Settings by name; `NULL` takes one back:
#'   - `workers`, `cpu`, `memory`, `region`, `timeout`, `idle_timeout` (seconds), `launch_type`,
#'     `instance_type`, `use_spot`, `image`, `environment`: defaults of these
#'     arguments, with the same values allowed. See [starburst()].
#'   - `max_hourly_cost`, `max_total_cost` (USD): ceilings for everything that
#'     is started.
#'   - `cost_alert_threshold` (USD): a warning when a session has cost so much.
#'   - `auto_quota_request` (logical): whether a quota that is too small may be
#'     asked for without another question.
#'
#' @returns A list of class `StarburstConfig`, visible without arguments:
#'   `settings` (a list by name), `from` (a character vector: `"option"` or
#'   `"config"` for each), `stacks` (a data frame: `stack`, `region`,
#'   `profile`), `file`.
#'   `starburst_is_configured()`: `TRUE` if a stack is known.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for a name or a value that is none, and then
#' nothing is stored; `starburst_error_permission` if the file cannot be
#' written; `starburst_error_data` if it is damaged.
#'
#' @examples
#' old <- Sys.getenv("R_USER_CONFIG_DIR", NA)
#' Sys.setenv(R_USER_CONFIG_DIR = tempfile("config"))
#' starburst_config(workers = 20, max_total_cost = 5)
#' starburst_config()
#' starburst_config(workers = NULL)
#' starburst_is_configured()
#' if (is.na(old)) Sys.unsetenv("R_USER_CONFIG_DIR") else Sys.setenv(R_USER_CONFIG_DIR = old)
#' @export
starburst_config <- function(...) {
  call <- rlang::current_env()
  given <- list(...)
  if (length(given) == 0L) {
    return(shown_config(call))
  }
  check_setting_names(names(given), length(given), call)
  config <- read_config(call)
  after <- utils::modifyList(decode_settings(config$settings), given, keep.null = FALSE)
  check_config(after, names(given), call)
  config$settings <- encode_settings(after)
  write_config(config, call)
  invisible(shown_config(call))
}

#' @rdname starburst_config
#' @export
starburst_is_configured <- function() {
  length(read_config(rlang::current_env())$stacks) > 0L
}

config_names <- c(launch_arguments, "cost_alert_threshold")

number_settings <- c(
  "workers",
  "cpu",
  "timeout",
  "idle_timeout",
  "max_hourly_cost",
  "max_total_cost",
  "cost_alert_threshold"
)

check_setting_names <- function(given, count, call) {
  if (length(given) != count || !all(nzchar(given)) || anyDuplicated(given)) {
    abort_input("...", "without a name, or twice of one name", "settings by name, each once", call)
  }
  unknown <- setdiff(given, config_names)
  if (length(unknown)) {
    allowed <- paste("one of", paste0("`", config_names, "`", collapse = ", "))
    abort_input(unknown[[1L]], "no setting", allowed, call)
  }
}

# The checks of the launch arguments, and what a file of lines can keep.
check_config <- function(values, changed, call) {
  if (!is.null(values$workers)) {
    check_workers(values$workers, call)
  }
  if (!is.null(values$timeout)) {
    check_number(values$timeout, "timeout", 1, Inf, call)
  }
  if (!is.null(values$idle_timeout)) {
    check_number(values$idle_timeout, "idle_timeout", 1, Inf, call)
  }
  if (!is.null(values$launch_type)) {
    check_choice(values$launch_type, "launch_type", launch_types, call)
  }
  # The others are checked together where they are used: each call may give one of them.
  if (any(c("cpu", "memory") %in% changed)) {
    built_in <- formals(starburst)
    size <- lapply(rlang::set_names(c("cpu", "memory")), function(arg) values[[arg]] %||% built_in[[arg]])
    check_size(size$cpu, size$memory, call, toupper(values$launch_type %||% built_in$launch_type))
  }
  for (arg in c("region", "instance_type", "image")) {
    check_line(check_string(values[[arg]], arg, call, null = TRUE), arg, call)
  }
  if (!is.null(values$environment)) {
    check_environment(values$environment, call)
    check_line(values$environment, "environment", call)
    if (any(grepl(",", values$environment, fixed = TRUE))) {
      abort_input("environment", describe(values$environment), "strings without a comma", call)
    }
  }
  if (!is.null(values$use_spot) && !identical(values$use_spot, "fallback")) {
    check_flag(values$use_spot, "use_spot", call)
  }
  if (!is.null(values$auto_quota_request)) {
    check_flag(values$auto_quota_request, "auto_quota_request", call)
  }
  for (arg in c("max_hourly_cost", "max_total_cost", "cost_alert_threshold")) {
    check_number(values[[arg]], arg, 0, Inf, call, null = TRUE)
  }
}

check_line <- function(x, arg, call) {
  if (any(grepl("[[:cntrl:]]|^\\s|\\s$", x))) {
    abort_input(arg, describe(x), "without line breaks, and without spaces at its ends", call)
  }
}

encode_settings <- function(values) {
  lapply(rlang::set_names(config_names[config_names %in% names(values)]), function(name) {
    value <- values[[name]]
    if (is.function(value)) {
      value <- value()
    }
    if (name == "memory" && is.numeric(value)) {
      return(paste0(format(value, digits = 15), "GB"))
    }
    if (is.numeric(value)) format(value, digits = 15) else paste(value, collapse = ", ")
  })
}

decode_settings <- function(written) {
  lapply(rlang::set_names(config_names[config_names %in% names(written)]), function(name) {
    text <- written[[name]]
    if (name %in% number_settings) {
      return(suppressWarnings(as.numeric(text)))
    }
    if (name == "auto_quota_request" || (name == "use_spot" && text != "fallback")) {
      return(as.logical(text))
    }
    if (name == "environment") strsplit(text, ", ", fixed = TRUE)[[1L]] else text
  })
}

# What options say, by the name of the setting.
option_settings <- function() {
  found <- lapply(rlang::set_names(config_names), function(name) getOption(paste0("starburst.", name)))
  if (is.null(found$auto_quota_request)) {
    found["auto_quota_request"] <- list(getOption("starburst.auto_quota"))
  }
  Filter(Negate(is.null), found)
}

# What is set, by option or in the file. The front doors check it like what they are given.
config_defaults <- function(call = rlang::caller_env()) {
  utils::modifyList(decode_settings(read_config(call)$settings), option_settings())
}

# The launch arguments of a call: those that were not supplied are what is set, or what is built in. `given` has all
# by name, `supplied` are the names of those that the user wrote. The attribute "chosen" has the names of those that are
# not what is built in.
with_config <- function(given, supplied, call = rlang::caller_env()) {
  values <- config_defaults(call)
  open <- setdiff(intersect(names(given), names(values)), supplied)
  given[open] <- values[open]
  attr(given, "chosen") <- c(supplied, open)
  given
}

shown_config <- function(call) {
  options <- option_settings()
  config <- read_config(call)
  settings <- utils::modifyList(decode_settings(config$settings), options)
  settings <- settings[config_names[config_names %in% names(settings)]]
  from <- ifelse(names(settings) %in% names(options), "option", "config")
  structure(
    list(
      settings = settings,
      from = rlang::set_names(as.character(from), names(settings)),
      stacks = stacks_frame(config$stacks),
      file = config_file()
    ),
    class = "StarburstConfig"
  )
}

stacks_frame <- function(stacks) {
  column <- function(name) vapply(stacks, function(stack) stack[[name]] %||% NA_character_, "")
  data.frame(stack = column("stack"), region = column("region"), profile = column("profile"))
}

#' @export
print.StarburstConfig <- function(x, ...) {
  cat("starburst configuration (", x$file, ")\n", sep = "")
  if (nrow(x$stacks)) {
    cat("Stacks:\n")
    profile <- ifelse(is.na(x$stacks$profile), "", paste0(" (profile ", x$stacks$profile, ")"))
    cat(paste0("  ", x$stacks$stack, " in ", x$stacks$region, profile, "\n"), sep = "")
  } else {
    cat("Stacks: none; `starburst_setup()` makes one\n")
  }
  if (length(x$settings)) {
    cat("Settings:\n")
    values <- vapply(x$settings, function(value) paste(format(value), collapse = ", "), "")
    from <- ifelse(x$from == "option", "  (option)", "")
    cat(paste0(sprintf("  %-20s ", names(x$settings)), values, from, "\n"), sep = "")
  } else {
    cat("Settings: as built in\n")
  }
  invisible(x)
}
