# The FutureBackend API (future 1.40 and later). The four generics do not exist before, so their
# methods are registered when the package is loaded: see R/zzz.R.

# future asks a factory for a backend often and at odd times: it is cheap and starts nothing.
StarburstFutureBackend <- function(
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
  .given = NULL,
  ...
) {
  settings <- plan_settings(mget(plan_arguments), .given)
  make <- getExportedValue("future", "MultiprocessFutureBackend")
  backend <- make(workers = settings$workers, ...)
  backend[["fleet"]] <- fleet_for(settings)
  backend[["futureClasses"]] <- c("StarburstFuture", backend[["futureClasses"]])
  class(backend) <- c("StarburstFutureBackend", class(backend))
  if (settings$eager) {
    fleet_warm(backend[["fleet"]])
  }
  backend
}

launchFuture.StarburstFutureBackend <- function(backend, future, ...) {
  fleet <- backend[["fleet"]]
  if (fleet$pid != Sys.getpid()) {
    # A forked child has workers of its own.
    fleet <- fleet_for(fleet$settings)
  }
  f <- launch(fleet, future)
  backend[["counters"]]["launched"] <- backend[["counters"]]["launched"] + 1L
  f
}

listFutures.StarburstFutureBackend <- function(backend, ...) {
  futures <- mget(ls(backend[["fleet"]]$futures), envir = backend[["fleet"]]$futures)
  futures <- unname(futures)
  rows <- data.frame(
    counter = vapply(futures, function(f) as.integer(f[["uuid"]][2]), 0L),
    start = vapply(futures, function(f) as.numeric(f[["start"]]), 0),
    label = vapply(futures, function(f) if (is.null(f[["label"]])) NA_character_ else f[["label"]], ""),
    resolved = vapply(futures, resolved, NA)
  )
  rows[["future"]] <- lapply(futures, list)
  rows
}

interruptFuture.StarburstFutureBackend <- function(backend, future, ...) {
  fleet <- fleet_of(future)
  if (!isFALSE(backend[["interrupts"]]) && !is.null(fleet$handle)) {
    unwrap_native(rs_cancel(fleet$handle, task_of(future)))
    forget(future)
    future[["state"]] <- "interrupted"
    # cancel() calls its futures canceled whether they were stopped or not.
    future[["starburst_killed"]] <- TRUE
  }
  future
}

stopWorkers.StarburstFutureBackend <- function(backend, interrupt = TRUE, ...) {
  fleet <- backend[["fleet"]]
  fleet_stop(fleet)
  TRUE
}

#' @export
nbrOfWorkers.StarburstFutureBackend <- function(evaluator) {
  evaluator[["fleet"]]$settings$workers
}

#' @export
nbrOfFreeWorkers.StarburstFutureBackend <- function(evaluator, background = FALSE, ...) {
  fleet_free(evaluator[["fleet"]])
}
