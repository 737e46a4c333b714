# Large data is never in memory twice: neither in the client nor in the worker binary.

test_that("sending and receiving 300 MB takes little memory besides the value", {
  skip_if_not(file.exists("/proc/self/status"), "peaks of memory are read from /proc")
  local_store()
  out <- run_r(c(
    "peak <- function(pid) {",
    "  line <- grep('VmHWM', readLines(sprintf('/proc/%s/status', pid)), value = TRUE)",
    "  as.numeric(gsub('[^0-9]', '', line)) / 1024",
    "}",
    "s <- starburst_session(workers = 1, launch_type = 'LOCAL', idle_timeout = 60)",
    "invisible(s$result(s$submit(quote(1 + 1)), timeout = 60))",
    "x <- runif(300e6 / 8)",
    "before <- peak('self')",
    "id <- s$submit(quote(x), globals = list(x = x))",
    "s$flush()",
    "sent <- peak('self')",
    "y <- s$result(id, timeout = 120)",
    "received <- peak('self')",
    "pattern <- paste0('[s]tarburst-worker .*--session ', s$id)",
    "worker <- peak(system2('pgrep', c('-f', shQuote(pattern)), stdout = TRUE)[[1]])",
    "s$cleanup(force = TRUE)",
    "cat(identical(x, y), sent - before, received - sent, worker)"
  ))
  got <- strsplit(utils::tail(out, 1), " ")[[1]]
  expect_identical(got[[1]], "TRUE")
  peaks <- as.numeric(got[-1])
  # Chunks on their way (64 MB), windows and buffers; and the value itself when it comes back.
  expect_lt(peaks[[1]], 256)
  expect_lt(peaks[[2]], 287 + 256)
  expect_lt(peaks[[3]], 256)
})
