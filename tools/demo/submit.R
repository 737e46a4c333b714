# Submits work to a detached session, prints its id, and ends.
library(starburst)
session <- starburst_session(workers = 2, launch_type = "LOCAL")
invisible(session$map(2:6, function(degree) {
  Sys.sleep(0.5)
  fit <- lm(mpg ~ poly(hp, degree), data = mtcars)
  c(degree = degree, AIC = AIC(fit))
}))
cat(session$id)
