# The work that is measured. Each workload says how many tasks it has, on how many workers, and checks what came back.
# `without` names backends for which it makes no sense, with the reason; `rounds` holds the number of rounds of long ones.

environment_free <- function(fun) {
  environment(fun) <- globalenv()
  fun
}

workload <- function(title, tasks, run, workers = 2, plan = FALSE, without = character(), rounds = Inf) {
  as.list(environment())
}

too_slow <- "it starts an R process for each future"
heavy_tail <- function() {
  set.seed(1)
  pmin(0.5 * stats::runif(500)^(-1 / 1.5), 20)
}

workloads <- list(
  cold = workload("from plan() to the first value", 1, plan = NA, run = function(b) {
    b$start_plan(2, warm = FALSE)
    TRUE
  }),
  futures_100 = workload("100 futures, nothing to do", 100, plan = TRUE, run = function(b) {
    identical(b$futures(1:100, environment_free(function(i) i)), as.list(1:100))
  }),
  futures_1000 = workload(
    "1,000 futures, nothing to do",
    1000,
    plan = TRUE,
    without = c(batchtools = too_slow),
    run = function(b) identical(b$futures(1:1000, environment_free(function(i) i)), as.list(1:1000))
  ),
  futures_10000 = workload(
    "10,000 futures, nothing to do",
    10000,
    plan = TRUE,
    rounds = 1,
    without = c(batchtools = too_slow, multisession = "ten times what 1,000 take"),
    run = function(b) identical(b$futures(1:10000, environment_free(function(i) i)), as.list(1:10000))
  ),
  map_10000 = workload("map of 10,000, nothing to do", 10000, run = function(b) {
    identical(b$map(1:10000, identity), as.list(1:10000))
  }),
  map_1000000 = workload(
    "map of 1,000,000, nothing to do",
    1e6,
    rounds = 1,
    without = c(
      "starburst, S3 0 ms" = "see the map of 10,000",
      "starburst, S3 100 ms" = "see the map of 10,000",
      batchtools = "as multisession"
    ),
    run = function(b) identical(b$map(1:1000000, identity), as.list(1:1000000))
  ),
  submit_1000000 = workload(
    "1,000,000 elements handed over to a session, until all are in the store",
    1e6,
    rounds = 1,
    without = c(
      "starburst, S3 0 ms" = "as 20 ms",
      "starburst, S3 100 ms" = "as 20 ms",
      multisession = "its map returns with the values",
      parLapply = "its map returns with the values",
      batchtools = "its map returns with the values",
      sequential = "its map returns with the values"
    ),
    run = function(b) length(b$hand_over(1:1000000, identity)) == 1e6
  ),
  short_20 = workload("20 tasks of 0.1 s", 20, run = function(b) {
    length(b$map(1:20, environment_free(function(i) Sys.sleep(0.1)))) == 20
  }),
  tail_500 = workload(
    "500 tasks of 1 s, heavy-tailed, 8 workers",
    500,
    workers = 8,
    rounds = 1,
    without = c(
      sequential = "takes 8 times as long",
      "starburst, S3 0 ms" = "the tasks outweigh it",
      "starburst, S3 100 ms" = "as 20 ms",
      batchtools = "as multisession"
    ),
    run = function(b) length(b$map(heavy_tail(), environment_free(function(s) Sys.sleep(s)))) == 500
  ),
  global_200mb = workload(
    "one 200 MB global, 50 futures",
    50,
    plan = TRUE,
    rounds = 1,
    without = c(
      batchtools = "it compresses and writes the global anew for each future",
      parLapply = "its users export globals by hand, once for each worker"
    ),
    run = function(b) {
      # As in a script: future would send what is in a function's own environment twice, with it and as a global.
      set.seed(1)
      shared <<- stats::runif(25e6)
      fun <- environment_free(function(i) shared[[i]])
      identical(unlist(b$futures(1:50, fun)), shared[1:50])
    }
  ),
  results_20mb = workload("50 results of 20 MB", 50, rounds = 1, run = function(b) {
    made <- b$map(
      1:50,
      environment_free(function(i) {
        set.seed(i)
        stats::runif(2.5e6)
      })
    )
    length(made) == 50 && all(lengths(made) == 2.5e6)
  }),
  cox = workload("Cox regression, 500 bootstraps of survival::lung", 500, run = function(b) {
    one <- environment_free(function(i, data) {
      set.seed(i)
      drawn <- data[sample(nrow(data), replace = TRUE), ]
      stats::coef(survival::coxph(survival::Surv(time, status) ~ age + sex + ph.ecog, drawn))
    })
    length(b$map(1:500, one, data = survival::lung)) == 500
  }),
  trees = workload("bagged trees, a grid of 60 on survival::colon", 60, run = function(b) {
    one <- environment_free(function(i, data) {
      set.seed(i)
      depth <- 1 + i %% 6
      wrong <- replicate(8, {
        drawn <- sample(nrow(data), replace = TRUE)
        tree <- rpart::rpart(
          factor(status) ~ rx + sex + age + obstruct + perfor + adhere + nodes + differ + extent,
          data[drawn, ],
          control = rpart::rpart.control(maxdepth = depth, cp = 0)
        )
        mean(stats::predict(tree, data[-drawn, ], type = "class") != data$status[-drawn])
      })
      mean(wrong)
    })
    length(b$map(1:60, one, data = survival::colon)) == 60
  })
)
