# 100,000 tasks on 20 worker processes with the store on the S3 of the tests. Run it with the environment that
# CONTRIBUTING.md gives for the R tests on S3.
library(starburst)
options(starburst.store = "s3://starburst/bench")
peak <- function() {
  line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
before <- peak()
took <- system.time(
  values <- starburst_map(1:100000, function(i) i, workers = 20, launch_type = "LOCAL", .progress = FALSE)
)
stopifnot(identical(unlist(values), 1:100000))
cat(sprintf("%.1f s; the client's peak of memory: %.0f MB, %.0f before\n", took[[3]], peak(), before))
counts <- readLines(url(paste0(Sys.getenv("STARBURST_TEST_S3"), "/-/counts")))
cat(grep("requests|usd", counts, value = TRUE), sep = "\n")
