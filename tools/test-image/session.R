# Sessions whose workers run in the image: with its packages only, and with those of a lock file.
# usage: session.R <image> <R of the image> <lock file>
suppressPackageStartupMessages(library(starburst))
words <- commandArgs(TRUE)
role <- function(name) paste0("arn:aws:iam::123456789012:role/starburst-", name)
stack <- c(
  kind = "stack",
  stack = "starburst",
  region = "us-east-1",
  bucket = "starburst",
  cluster = "lab",
  subnets = "subnet-1,subnet-2",
  security_group = "sg-1",
  execution_role = role("execution"),
  task_role = role("task"),
  log_group = "starburst-logs",
  repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/starburst-images"
)
file <- file.path(Sys.getenv("R_USER_CONFIG_DIR"), "R", "starburst", "config.dcf")
dir.create(dirname(file), recursive = TRUE)
write.dcf(rbind(stack), file)

session <- starburst_session(workers = 2, cpu = 1, memory = "2GB", environment = "none", image = words[[1]])
for (i in 1:6) {
  session$submit({
    library(brought)
    list(as.character(getRversion()), tail(.libPaths(), 1), unname(Sys.info()[["user"]]), where_from())
  })
}
values <- session$collect(wait = TRUE, timeout = 120)
session$cleanup()
print(unique(values))
stopifnot(
  length(values) == 6,
  vapply(values, function(value) startsWith(value[[1]], words[[2]]), NA),
  vapply(values, function(value) value[[2]] == "/opt/starburst/library", NA),
  vapply(values, function(value) value[[3]] != "root", NA),
  vapply(values, function(value) value[[4]] == "the image", NA)
)

# The lock file is of the image's R, not of this one, which is told.
session <- suppressWarnings(
  starburst_session(workers = 2, cpu = 1, memory = "2GB", environment = words[[3]], image = words[[1]]),
  classes = "starburst_warning_environment"
)
for (i in 1:4) {
  session$submit(vapply(c("sbright", "sbtext", "sbfive"), function(p) getExportedValue(p, "hello")(), ""))
}
values <- session$collect(wait = TRUE, timeout = 240)
session$cleanup()
print(unique(lapply(values, unname)))
stopifnot(
  length(values) == 4,
  vapply(values, function(value) identical(unname(value), c("sbright 1.0", "sbtext 1.1", "sbfive 1.0")), NA)
)
