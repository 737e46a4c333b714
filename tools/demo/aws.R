# Sets up an empty account, looks at it, and runs furrr code on Fargate.
suppressPackageStartupMessages({
  library(future)
  library(furrr)
  library(starburst)
})
cat("== Setting up\n")
starburst_setup(
  region = "us-east-1",
  vpc_id = Sys.getenv("STARBURST_DEMO_VPC"),
  subnet_ids = strsplit(Sys.getenv("STARBURST_DEMO_SUBNETS"), ",", fixed = TRUE)[[1]],
  ask = FALSE
)
stopifnot(starburst_is_configured())
# Workers of the stand-in are processes of this machine and have its packages; a machine without a network installs none.
invisible(starburst_config(environment = "none"))
cat("\n== The doctor\n")
starburst_doctor()

cat("\n== furrr on eight Fargate workers\n")
plan(starburst, workers = 8, cpu = 1, memory = "2GB")
squares <- future_map_dbl(1:40, function(i) {
  Sys.sleep(0.2)
  i^2
})
stopifnot(identical(squares, (1:40)^2))
cat("  40 squares, sum", sum(squares), "\n")
plan(sequential)

cat("\n== On EC2 instances, which the first session makes\n")
session <- starburst_session(
  workers = 2,
  cpu = 2,
  memory = "4GB",
  launch_type = "EC2",
  instance_type = "c7g.xlarge"
)
invisible(session$map(1:6, function(i) i + 100))
results <- session$collect(wait = TRUE, timeout = 120, progress = FALSE)
stopifnot(setequal(unlist(results), 101:106))
print(session$status())
session$cleanup(force = TRUE)
