# What runs the work: starburst in several places, and what a user would pick instead. A backend starts workers, maps, and
# evaluates one future for each element.

backend <- function(name) {
  made <- switch(
    sub(" [0-9]+ ms$", "", name),
    "starburst" = starburst_backend(),
    "starburst, S3" = starburst_backend(),
    "multisession" = future_backend(future::multisession),
    "sequential" = future_backend(future::sequential),
    "parLapply" = cluster_backend(),
    "batchtools" = future_backend(future.batchtools::batchtools_multicore),
    stop("there is no backend ", name)
  )
  made
}

# Injected latency of the S3 behind a backend, in milliseconds; NULL without S3.
latency <- function(name) {
  if (startsWith(name, "starburst, S3")) as.numeric(gsub("[^0-9]", "", sub(".*S3", "", name)))
}

all_backends <- c(
  "starburst",
  "starburst, S3 0 ms",
  "starburst, S3 20 ms",
  "starburst, S3 100 ms",
  "multisession",
  "parLapply",
  "batchtools",
  "sequential"
)

# One future for each element, and nothing between them.
each_future <- function(x, fun) {
  futures <- lapply(x, function(element) future::future(fun(element)))
  lapply(futures, future::value)
}

starburst_backend <- function() {
  cluster <- session <- NULL
  list(
    start = function(workers) {
      library(starburst)
      cluster <<- starburst_cluster(workers, launch_type = "LOCAL")
      warm_up(cluster$map, workers)
    },
    # The same work through plan(), which has workers of its own.
    start_plan = function(workers, warm = TRUE) {
      library(starburst)
      future::plan(starburst, workers = workers, launch_type = "LOCAL")
      warm_up(each_future, workers, warm)
    },
    # The others make no random number streams either.
    map = function(x, fun, ...) cluster$map(x, fun, ..., .seed = FALSE),
    futures = each_future,
    # Until all elements are in the store; nobody waits for their values.
    hand_over = function(x, fun) {
      session <<- starburst_session(workers = 2, launch_type = "LOCAL")
      ids <- session$map(x, fun, .seed = FALSE)
      session$flush()
      ids
    },
    stop = function() {
      if (!is.null(session)) {
        session$cleanup(force = TRUE)
      }
      if (is.null(cluster)) future::plan(future::sequential) else cluster$shutdown()
    }
  )
}

future_backend <- function(strategy) {
  start <- function(workers, warm = TRUE) {
    if (identical(strategy, future::sequential)) {
      future::plan(strategy)
    } else {
      future::plan(strategy, workers = workers)
    }
    warm_up(each_future, workers, warm)
  }
  list(
    start = start,
    start_plan = start,
    map = function(x, fun, ...) future.apply::future_lapply(x, fun, ...),
    futures = each_future,
    stop = function() future::plan(future::sequential)
  )
}

cluster_backend <- function() {
  cluster <- NULL
  start <- function(workers, warm = TRUE) {
    cluster <<- parallel::makePSOCKcluster(workers)
    warm_up(function(x, fun) parallel::parLapply(cluster, x, fun), workers, warm)
  }
  list(
    start = start,
    start_plan = start,
    map = function(x, fun, ...) parallel::parLapply(cluster, x, fun, ...),
    futures = function(x, fun) parallel::clusterApplyLB(cluster, x, fun),
    stop = function() parallel::stopCluster(cluster)
  )
}

# Every worker has been there once: starting them is measured by a workload of its own, which asks for one value only.
warm_up <- function(map, workers, warm = TRUE) {
  if (!warm) {
    return(invisible(map(1, identity)))
  }
  invisible(map(seq_len(2 * workers), function(i) Sys.sleep(0.2)))
}
