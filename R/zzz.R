# Both APIs of the future package under one object: versions before 1.40 call the function, later
# ones take the factory and ignore the function.
attr(starburst, "factory") <- StarburstFutureBackend

.onLoad <- function(libname, pkgname) {
  if (!has_backend_api()) {
    return()
  }
  # Make the backend at plan() time, so that wrong arguments are said there.
  attr(starburst, "init") <<- TRUE
  future_ns <- asNamespace("future")
  for (generic in c("launchFuture", "listFutures", "interruptFuture", "stopWorkers")) {
    method <- get(paste0(generic, ".StarburstFutureBackend"))
    registerS3method(generic, "StarburstFutureBackend", method, envir = future_ns)
  }
}

# The native library stays: its threads may be at work. Workers of plans end here.
.onUnload <- function(libpath) {
  for (key in ls(the$fleets)) {
    fleet_stop(the$fleets[[key]])
  }
}
