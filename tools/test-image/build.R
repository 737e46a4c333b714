# Builds the image of the test for two architectures, twice: the second time there is nothing to send.
# usage: build.R <base> <image> <folder with workers> <library for amd64>
suppressPackageStartupMessages(library(starburst))
words <- commandArgs(TRUE)
none <- file.path(tempdir(), "none")
dir.create(none)
build <- function() {
  starburst_image_build(
    base = words[[1]],
    push_to = words[[2]],
    architectures = c("amd64", "arm64"),
    worker = words[[3]],
    packages = c(amd64 = words[[4]], arm64 = none)
  )
}
built <- build()
print(built$architectures[c("architecture", "bytes", "sent")])
again <- build()
stopifnot(
  identical(built$digest, again$digest),
  built$architectures$sent > 0,
  again$architectures$sent == 0
)
