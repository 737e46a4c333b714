#' Install the packages of workers anew
#'
#' Workers get their packages from an environment in the store, which the first
#' of them installs and the others share. `starburst_rebuild_environment()`
#' forgets the one that `environment` and `packages` come to, also a failure to
#' install it, so that the next session installs everything again.
#'
#' A failure is remembered, so that not every worker and every session runs
#' into it again. Most changes, such as another version in `renv.lock`, make
#' another environment. What this R cannot see, such as a system library that was
#' added to the image of the workers, needs this function.
#'
#' Workers that run keep their packages. One that installs the environment just now
#' begins anew.
#'
#' @param environment (string) As `environment` of [starburst_session()]. Default
#'   `"auto"`.
#' @param packages (character) Names of packages that are needed besides. Default:
#'   none.
#' @param region (string or `NULL`) As `region` of [starburst_session()].
#' @param launch_type (string) `"FARGATE"` or `"EC2"` for the environments in the
#'   bucket of the stack, `"LOCAL"` for those of the store that is chosen. Default
#'   `"FARGATE"`.
#'
#' @returns Whether there was anything to forget (logical), invisibly.
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is wrong,
#' `starburst_error_environment` for packages that cannot be named, and what a
#' store can raise: see [starburst_session()].
#' @examples
#' old <- options(starburst.store = tempfile("store"))
#' starburst_rebuild_environment("none", launch_type = "LOCAL")
#' options(old)
#' @export
starburst_rebuild_environment <- function(
  environment = "auto",
  packages = character(),
  region = NULL,
  launch_type = "FARGATE"
) {
  call <- rlang::current_env()
  check_characters(environment, "environment", call, null = FALSE)
  check_characters(packages, "packages", call)
  check_string(region, "region", call, null = TRUE)
  launch_type <- check_choice(launch_type, "launch_type", c("LOCAL", "FARGATE", "EC2"), call)
  config <- native_config(place_settings(region), detached = TRUE, call = call)
  if (launch_type != "LOCAL") {
    record <- account_settings(region, call = call)
    config$store <- paste0("s3://", record$bucket)
    config[c("region", "profile")] <- list(record$region, record$profile)
  }
  config["environment"] <- list(environment_config(environment, packages, call))
  done <- unwrap_native(rs_rebuild_environment(config), call)
  if (is.null(done$id)) {
    say("there is nothing to forget: workers need no packages besides their own")
  } else if (done$forgotten) {
    say("the next worker installs these packages anew")
  } else {
    say("these packages are not installed for workers yet")
  }
  invisible(done$forgotten)
}

# What workers get, as the native side takes it; NULL for nothing.
environment_config <- function(environment, packages, call, code = NULL) {
  if (is.null(environment) || identical(environment, "none")) {
    return(NULL)
  }
  needs <- getOption("starburst.environment_needs")
  if (is.null(needs)) {
    needs <- environment_needs(environment, packages, call, code)
  }
  if (is.null(needs)) {
    return(NULL)
  }
  columns <- setdiff(need_columns, "reason")
  repositories <- attr(needs, "repositories")
  config <- lapply(rlang::set_names(columns), function(name) {
    text <- as.character(needs[[name]])
    text[is.na(text)] <- ""
    text
  })
  config$repository_names <- as.character(names(repositories))
  config$repository_addresses <- unname(as.character(repositories))
  config
}

# Tells, while tasks are waited for, how far the packages of the workers are; and what is not as it was asked for, once.
follow_environment <- function(handle) {
  env <- environment()
  bar <- NULL
  update <- function(look = FALSE) {
    now <- rs_environment(handle, look)
    if (inherits(now, "extendr_error")) {
      # Whoever waits is told of it where it matters.
      return(invisible())
    }
    for (words in now$warnings) {
      rlang::warn(words, class = "starburst_warning_environment")
    }
    if (is.na(now$progress) || is_quiet()) {
      return(close())
    }
    if (is.null(bar)) {
      rlang::inform(
        c(now$progress, i = "workers start when this is done; later sessions find it done"),
        class = "starburst_message_environment"
      )
      bar <<- cli::cli_progress_bar(
        format = "{cli::pb_spin} {cli::pb_status} [{cli::pb_elapsed}]",
        total = NA,
        .envir = env,
        .auto_close = FALSE
      )
    }
    cli::cli_progress_update(inc = 1, status = now$progress, id = bar, .envir = env)
  }
  close <- function() {
    if (!is.null(bar)) {
      cli::cli_progress_done(id = bar, .envir = env)
      bar <<- NULL
    }
  }
  list(update = update, close = close)
}
