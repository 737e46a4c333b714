# Submits work to a detached session on Fargate Spot, waits until it has begun, prints the session's id, and ends.
library(starburst)
session <- suppressMessages(starburst_session(
  workers = 3,
  cpu = 1,
  memory = "2GB",
  use_spot = TRUE,
  idle_timeout = 30
))
for (i in 1:12) {
  session$submit({
    cat("at work on", i, "\n")
    Sys.sleep(1)
    i * 10
  })
}
for (i in 1:300) {
  if (session$status()$completed > 0) {
    break
  }
  Sys.sleep(0.1)
}
cat(session$id)
