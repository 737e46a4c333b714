#' Run futures on starburst workers
#'
#' `plan(starburst, ...)` makes unchanged code of the future ecosystem (future,
#' future.apply, furrr, foreach with doFuture, promises, Shiny, progressr) run on
#' workers that take tasks from a queue. Nothing else in the code changes.
#'
#' ## Workers
#' Workers start with the first future, as many as there are futures to run and
#' no more than `workers`; with `eager = TRUE` the first starts with `plan()`.
#' Idle ones leave after `idle_timeout` seconds, and new futures start workers again.
#' All stop at `plan(sequential)` (with future before
#' 1.40 at the next top-level prompt after it), when R ends, or by themselves within
#' seconds when R has died. Launching a future never
#' waits: more futures than workers queue up.
#'
#' ## Workers on AWS
#' Each worker is an ECS task, and the session is in the bucket of the stack.
#' Before the first starts, a message of class `starburst_message_launch` says
#' what was requested, what the account's quota allows at a time, and what that
#' costs an hour at most. With a quota that is too small, workers start as others
#' end. `options(starburst.stack = )` and `options(starburst.profile = )` choose
#' among several stacks. All of this is tested against stand-ins for AWS; nothing
#' has run on AWS itself yet.
#'
#' ## What travels
#' With a task its globals, and the names of the packages to attach. With the
#' session, as they are when it is made: the packages of `environment`; the
#' options of this R that `options(starburst.options = )` names, by default
#' `contrasts`, `digits`, `digits.secs`, `encoding`, `na.action`, `OutDec`,
#' `scipen` and `ts.eps`; the locale, or what `options(starburst.locale = )` says;
#' the time zone; and the environment variables that
#' `options(starburst.envvars = )` names, by default none.
#' `options(starburst.secrets = c(NAME = "arn:aws:secretsmanager:..."))` lets AWS
#' put a secret into the variable `NAME` of workers there; with `"LOCAL"` the
#' variable must be set here. Profiles such as `.Rprofile` are not read.
#'
#' ## Failures
#' An error of your code is raised by `value()` as it is, with its own class. A
#' worker that dies costs a task one attempt; after three it fails with a
#' `FutureInterruptError` that says how R ended and what it printed last.
#' Trouble with the store or the workers is a `FutureError` that also has one of
#' the classes `starburst_error_<kind>`; the future stays, and `value()` can be
#' called again.
#'
#' @param workers (number or function) Workers at most, 1 to 1,000; above 500
#'   needs `options(starburst.max_workers = 1000)`. Default 10.
#' @param cpu (number) Virtual CPUs of each worker: 0.25, 0.5, 1, 2, 4, 8 or
#'   16, and with `"EC2"` any multiple of 0.25 that an instance has. What
#'   `parallelly::availableCores()` says there. Default 4.
#' @param memory (string or number) Memory of each worker, such as `"8GB"`,
#'   `"512MB"` or a number of GB. Checked with `cpu` as a pair that Fargate has,
#'   and with `"EC2"` as one that an instance of the type has room for. Default
#'   `"8GB"`.
#' @param region (string or `NULL`) AWS region, such as `"eu-central-1"`: of the
#'   stack that workers run in, or of the bucket when the store is one. Default
#'   `NULL`: that of the only stack that is known; else as [starburst_config()]
#'   or the environment says.
#' @param timeout (number or `NULL`) Seconds one task may run before it alone is
#'   stopped. Default `NULL`: no limit.
#' @param idle_timeout (number) Seconds without a task after which a worker
#'   leaves, and on AWS costs nothing any more. New tasks start workers again.
#'   Default 300.
#' @param launch_type (string) Where workers run, in any case: `"FARGATE"` or
#'   `"EC2"` (tasks in the stack that [starburst_setup()] made; see Workers on
#'   AWS), or `"LOCAL"` (processes of this machine). Default `"FARGATE"`.
#' @param instance_type (string or `NULL`) With `"EC2"`, and only there: the type
#'   of the instances, such as `"c7g.xlarge"`. A type that the stack has no
#'   instances of gets them when the first plan or session uses it, as
#'   [starburst_setup_ec2()] makes them.
#' @param use_spot (logical or string) `TRUE` uses spare capacity only, which is
#'   cheaper and may be taken back: the tasks then run again. `"fallback"` uses
#'   On-Demand capacity where there is none to spare. Default `FALSE`. Not used by
#'   `"LOCAL"`.
#' @param image (string or `NULL`) For workers on AWS: the image of their
#'   container, with R and the worker, as [starburst_image_build()] makes it.
#'   Default `NULL`: the image of this version in the stack's repository, where
#'   `starburst_image_build()` puts it. Must be `NULL` with `"LOCAL"`.
#' @param max_hourly_cost (number or `NULL`) USD an hour that all workers
#'   together may cost. More is refused before anything starts. Not used by
#'   `"LOCAL"`. Default `NULL`: no ceiling.
#' @param max_total_cost (number or `NULL`) USD after which the run ends: its
#'   workers stop, and results so far are kept. What the last seconds cost comes on
#'   top. Not used by `"LOCAL"`. Default `NULL`: no ceiling.
#' @param auto_quota_request (logical) Whether a larger quota is requested where
#'   yours has no room for all workers, as [starburst_request_quota_increase()]
#'   does. Not used by `"LOCAL"`. Default `FALSE`.
#' @param environment (character) The packages that workers get. `"auto"`: those
#'   of the project's `renv.lock`, else those that are attached, loaded, or named
#'   by the first tasks, each in the version that is installed here. The path of
#'   another lock file, names of installed packages, or paths of source packages
#'   (a folder or a tarball), also together, as in `c("auto", "~/src/mine")`.
#'   `"none"`: what workers have by themselves, on AWS the packages of their image.
#'   See [starburst_environment()], which shows what it comes to. Default `"auto"`;
#'   with `"LOCAL"` workers use your own library, unless you give this argument.
#' @param eager (logical) Whether the first worker starts with `plan()`.
#' @param detached (logical) Must be `FALSE`: see [starburst_session()].
#' @param .given (character or `NULL`) Written by `plan()`, not by you: the names
#'   of the arguments in its call, which win over [starburst_config()].
#' @param ... Passed on by [future::plan()].
#'
#' @returns Nothing when called by `plan()`, which is the only way to call it.
#'
#' @section Conditions:
#' An argument out of range is a `starburst_error_invalid_input` that names it.
#' `starburst_error_environment` names packages of `environment` that have no source
#' that a worker can reach.
#' On AWS: `starburst_error_not_set_up` if no stack is known,
#' `starburst_error_invalid_input` for a `cpu` or `memory` that no instance of
#' the type has room for, `starburst_error_cost` if a ceiling does not allow it or was reached,
#' `starburst_error_quota` if the account's quota is below one worker,
#' `starburst_error_capacity` if AWS has had no room for a minute and no worker is
#' there, `starburst_error_permission` with the action to ask for,
#' `starburst_error_unauthenticated` without valid credentials, and
#' `starburst_error_worker_lost` with the reason if workers stop again and again
#' before they did anything.
#'
#' @examples
#' plan(starburst, workers = 2, launch_type = "LOCAL")
#' f <- future::future(sum(1:10))
#' future::value(f)
#' plan(sequential)
#' @export
starburst <- function(
  ...,
  workers = 10,
  cpu = 4,
  memory = "8GB",
  region = NULL,
  timeout = NULL,
  idle_timeout = 300,
  launch_type = "FARGATE",
  instance_type = NULL,
  use_spot = FALSE,
  image = NULL,
  environment = "auto",
  max_hourly_cost = NULL,
  max_total_cost = NULL,
  auto_quota_request = FALSE,
  eager = FALSE,
  detached = FALSE,
  .given = NULL
) {
  # Only future before 1.40 calls this; later versions take the attribute "factory".
  settings <- known_plan_settings(mget(plan_arguments), .given)
  legacy_future(settings, ...)
}
class(starburst) <- c("starburst", "multiprocess", "future", "function")

plan_arguments <- c(launch_arguments, "eager", "detached")

# plan() evaluates a strategy in several ways, and always hands on `workers`: which arguments its user wrote is known
# only here, and kept among them.
#' @export
tweak.starburst <- function(strategy, ..., penvir = parent.frame()) {
  if (...length() == 0L) {
    return(strategy)
  }
  before <- eval(formals(strategy)$.given, baseenv())
  made <- NextMethod(.given = union(before, ...names()))
  # future before 1.40 shows the arguments of the last tweak only: those of earlier ones stay readable beside them.
  earlier <- formals(strategy)[setdiff(intersect(before, names(formals(strategy))), names(formals(made)))]
  if (!has_backend_api() && length(earlier)) {
    kept <- attributes(made)
    formals(made) <- c(formals(made), earlier)
    attributes(made) <- kept
  }
  # future 1.40 and later keep all that was ever tweaked, and would hand on an argument twice: the last one counts.
  tweaks <- attr(made, "tweaks")
  if (!is.null(tweaks)) {
    attr(made, "tweaks") <- tweaks[!duplicated(names(tweaks), fromLast = TRUE)]
  }
  made
}

# The settings of a plan, checked; errors name plan(starburst, ...) as their call. `supplied` are the names of the
# arguments that the user wrote.
plan_settings <- function(given, supplied) {
  # A strategy that was called without plan() shows what it was given in what differs from the defaults.
  built_in <- lapply(formals(starburst)[names(given)], eval, envir = baseenv())
  check_plan(with_config(given, union(supplied, names(given)[!mapply(identical, given, built_in)])))
}

# future before 1.40 asks with every future: the answer to the same question is the same, and the file of
# starburst_config() is read once for a plan.
known_plan_settings <- function(given, supplied) {
  options <- options()
  question <- list(given, supplied, options[startsWith(names(options), "starburst.")])
  if (!identical(question, the$plan_question)) {
    the$plan_settings <- plan_settings(given, supplied)
    the$plan_question <- question
  }
  the$plan_settings
}

check_plan <- function(given) {
  call <- quote(plan(starburst))
  if (check_flag(given$detached, "detached", call)) {
    starburst_abort(
      c(
        "`detached = TRUE` is not for plan()",
        i = "a job that outlives this R is a session: see `starburst_session()`"
      ),
      kind = "invalid_input",
      arg = "detached",
      call = call
    )
  }
  settings <- check_settings(given, call = call)
  settings$eager <- check_flag(given$eager, "eager", call)
  # What a fleet is known by.
  settings$key <- rlang::hash(settings)
  settings
}

# The settings of a strategy as plan() holds it. A tweaked strategy keeps the formals that were tweaked.
strategy_settings <- function(strategy) {
  values <- formals(starburst)[plan_arguments]
  tweaked <- intersect(names(formals(strategy)), plan_arguments)
  values[tweaked] <- formals(strategy)[tweaked]
  known_plan_settings(lapply(values, eval, envir = baseenv()), eval(formals(strategy)$.given, baseenv()))
}

#' @export
nbrOfWorkers.starburst <- function(evaluator) {
  # future before 1.40 asks a worker with each future, as it sets the plan of its client again, which was checked there.
  workers <- if (on_worker()) eval(formals(evaluator)$workers, baseenv())
  if (is.numeric(workers)) {
    return(workers)
  }
  # Those versions tell of a new plan only by asking this.
  the$plan_question <- NULL
  settings <- strategy_settings(evaluator)
  if (settings$eager && !has_backend_api()) {
    fleet_warm(fleet_for(settings))
  }
  settings$workers
}

#' @export
nbrOfFreeWorkers.starburst <- function(evaluator, background = FALSE, ...) {
  fleet_free(fleet_for(strategy_settings(evaluator)))
}
