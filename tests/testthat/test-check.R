# Wrong input is a classed condition that names the argument, before anything is made.

bad <- list(
  workers = list(0, -1, 1.5, NA_real_, "2", c(1, 2), NULL, Inf, 1001, TRUE),
  cpu = list(3, NA_real_, "4", c(1, 2), NULL, -1),
  memory = list("8 apples", NA_character_, -1, 7.5, "1GB", c("8GB", "9GB"), NULL, list()),
  timeout = list(0, NA_real_, "1", c(1, 2)),
  idle_timeout = list(0, NA_real_, "1", c(1, 2), NULL),
  launch_type = list("MOON", NA_character_, 1, c("LOCAL", "EC2"), NULL),
  region = list(1, NA_character_, c("a", "b")),
  use_spot = list(NA, "yes", c(TRUE, FALSE), NULL),
  image = list(1, "some/image"),
  environment = list(1, NA_character_),
  max_hourly_cost = list(-1, NA_real_, "1"),
  max_total_cost = list(-1, c(1, 2)),
  auto_quota_request = list(NA, 1)
)

expect_refused <- function(call, arg) {
  cnd <- expect_error(call, class = "starburst_error_invalid_input")
  expect_identical(cnd$arg, arg)
  expect_match(conditionMessage(cnd), paste0("`", arg, "`"), fixed = TRUE)
}

for (arg in names(bad)) {
  test_that(paste("every front door refuses a wrong", arg), {
    store <- file.path(local_store(), "none")
    withr::local_options(starburst.store = store)
    for (value in bad[[arg]]) {
      args <- list(launch_type = "LOCAL")
      args[arg] <- list(value)
      expect_refused(do.call(starburst_session, args), arg)
      expect_refused(do.call(starburst_cluster, args), arg)
      expect_refused(do.call(starburst_map, c(list(1:2, identity), args)), arg)
    }
    expect_length(store_keys(store), 0)
  })
}

test_that("plan() refuses wrong arguments, also those that come with other versions of future", {
  withr::defer(future::plan("sequential"))
  refuse <- function(...) {
    cnd <- tryCatch(
      {
        future::plan(starburst, launch_type = "LOCAL", ...)
        future::value(future::future(1))
      },
      error = identity
    )
    expect_s3_class(cnd, "error")
    expect_match(conditionMessage(cnd), "must be|not for plan|allow up to")
  }
  refuse(workers = 0)
  refuse(workers = NA)
  refuse(cpu = 3)
  refuse(memory = "1GB")
  refuse(detached = TRUE)
  refuse(timeout = -1)
})

test_that("launch types that need AWS say so and name what works", {
  withr::local_envvar(R_USER_CONFIG_DIR = withr::local_tempdir())
  for (type in c("FARGATE", "ec2")) {
    cnd <- expect_error(
      starburst_session(launch_type = type, instance_type = if (type == "ec2") "c7g.xlarge"),
      class = "starburst_error_not_set_up"
    )
    expect_match(conditionMessage(cnd), "launch_type = \"LOCAL\"", fixed = TRUE)
  }
})

test_that("more than 500 workers ask for a word", {
  expect_error(
    starburst_cluster(workers = 501, launch_type = "LOCAL"),
    class = "starburst_error_invalid_input"
  )
  withr::local_options(starburst.max_workers = 1000)
  expect_s3_class(starburst_cluster(workers = 501, launch_type = "LOCAL"), "StarburstCluster")
})

test_that("sizes are checked as a pair against Fargate's table", {
  gb <- function(cpu, memory) starburst:::check_size(cpu, memory, NULL)$memory_mib / 1024
  expect_equal(gb(0.25, "512MB"), 0.5)
  expect_equal(gb(4, 30), 30)
  expect_equal(gb(16, "120 gb"), 120)
  expect_error(gb(0.25, 4), class = "starburst_error_invalid_input")
  expect_error(gb(8, 18), "16 to 60 GB in steps of 4 GB")
})

test_that("on EC2 a worker may have any size; whether an instance has room is asked where its type is known", {
  size <- function(...) starburst:::check_size(..., call = NULL, launch_type = "EC2")
  expect_identical(size(3, "29GB"), list(cpu = 3, memory_mib = 29696))
  expect_identical(size(0.25, 0.7)$memory_mib, 717)
  expect_refused(size(0.3, 8), "cpu")
  expect_refused(size(0, 8), "cpu")
  expect_refused(size(4, "256MB"), "memory")
  expect_refused(size(4, "8 apples"), "memory")
})

test_that("the methods of a session refuse what they cannot use", {
  local_store()
  session <- local_session(workers = 1)
  expect_refused(session$submit(42), "expr")
  expect_refused(session$submit("a"), "expr")
  text <- "sum(1)"
  expect_refused(session$submit(text), "expr")
  expect_refused(session$submit(sum(1), label = 1), "label")
  expect_refused(session$submit(sum(1), seed = "a"), "seed")
  expect_refused(session$submit(sum(1), globals = 1), "globals")
  expect_refused(session$submit(sum(1), packages = NA_character_), "packages")
  expect_refused(session$map(quote(x), identity), ".x")
  expect_refused(session$map(1:2, 7), ".f")
  expect_refused(session$collect(wait = NA), "wait")
  expect_refused(session$collect(timeout = -1), "timeout")
  expect_refused(session$collect(ids = 1), "ids")
  expect_refused(session$extend("long"), "seconds")
  expect_refused(session$cancel(1), "ids")
  expect_refused(session$result(NULL), "id")
  expect_refused(session$cleanup(force = "yes"), "force")
  expect_error(session$cancel("nonsense"), class = "starburst_error_not_found")
  expect_error(session$result("abc-1"), class = "starburst_error_not_found")
  expect_identical(session$status()$total, 0)
})

test_that("an error reads well", {
  expect_snapshot(starburst_session(workers = 0, launch_type = "LOCAL"), error = TRUE)
  expect_snapshot(starburst_session(cpu = 4, memory = "1GB", launch_type = "LOCAL"), error = TRUE)
  expect_snapshot(starburst_session(), error = TRUE)
})
