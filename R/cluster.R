#' A cluster of workers for maps
#'
#' Keeps workers between maps, without changing your `plan()`. Two clusters,
#' two plans and two sessions at once do not disturb each other.
#'
#' @inheritParams starburst
#' @returns A `StarburstCluster` with the methods
#' - `map(.x, .f, ...)`: as [starburst_map()].
#' - `estimate_cost(seconds)`: USD for all workers for so long; 0 on this machine.
#' - `status()`: counts of tasks by state, as `$status()` of a [StarburstSession].
#' - `shutdown()`: stops the workers. Also done when the object is collected,
#'   and when R ends.
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument out of range;
#' `starburst_error_closed` for a map on a cluster that was shut down.
#' @examples
#' cluster <- starburst_cluster(workers = 2, launch_type = "LOCAL")
#' cluster$map(1:3, function(x) x^2)
#' cluster$shutdown()
#' @export
starburst_cluster <- function(
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
  auto_quota_request = FALSE
) {
  settings <- check_settings(with_config(mget(launch_arguments), names(match.call())[-1L]))
  StarburstCluster$new(settings)
}

StarburstCluster <- R6::R6Class(
  "StarburstCluster",
  cloneable = FALSE,
  public = list(
    initialize = function(settings) {
      private$fleet <- new_fleet(settings)
    },
    map = function(
      .x,
      .f,
      ...,
      .progress = interactive(),
      .seed = TRUE,
      .on_error = c("stop", "collect"),
      .packages = NULL,
      .globals = TRUE
    ) {
      call <- rlang::current_env()
      envir <- parent.frame()
      elements <- elements_of(.x, call)
      check_map(.f, .progress, .seed, .on_error, call)
      refuse_near_misses(...names(), map_arguments, .f, call)
      if (length(elements) == 0L) {
        return(elements)
      }
      code <- function() gather_function(as_function(.f, call), list(...), envir, .globals, .packages, call)
      handle <- private$handle(call, .packages, code())
      run_map(
        handle,
        elements,
        .f,
        list(...),
        .progress,
        .seed,
        .on_error,
        .packages,
        .globals,
        envir,
        call
      )
    },
    estimate_cost = function(seconds) {
      check_number(seconds, "seconds", 0, Inf, rlang::current_env())
      each <- unwrap_native(rs_price(private$handle(rlang::current_env())), rlang::current_env())
      private$fleet$settings$workers * each * seconds / 3600
    },
    status = function() {
      call <- rlang::current_env()
      handle <- private$handle(call)
      session_status(handle, unwrap_native(rs_session_id(handle), call), call)
    },
    shutdown = function() {
      private$closed <- TRUE
      fleet_stop(private$fleet)
      invisible(self)
    },
    print = function(...) {
      settings <- private$fleet$settings
      state <- if (private$closed) "shut down" else "open"
      cat("<StarburstCluster> ", state, "\n", sep = "")
      cat(
        "  up to ",
        fmt(settings$workers),
        " workers (",
        settings$launch_type,
        ", ",
        settings$cpu,
        " vCPU, ",
        settings$memory_mib / 1024,
        " GB)\n",
        sep = ""
      )
      invisible(self)
    }
  ),
  private = list(
    fleet = NULL,
    closed = FALSE,
    handle = function(call, packages = NULL, code = NULL) {
      if (private$closed) {
        starburst_abort(
          c("this cluster was shut down", i = "make another with `starburst_cluster()`"),
          kind = "closed",
          call = call
        )
      }
      fleet_handle(private$fleet, packages, code, call)
    }
  )
)
