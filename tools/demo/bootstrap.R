# 2,000 refits of a Cox model: unchanged furrr code under two plans, which must agree to the last bit.
suppressPackageStartupMessages({
  library(future)
  library(furrr)
  library(starburst)
})
refits <- as.integer(Sys.getenv("STARBURST_DEMO_REFITS", "2000"))
lung <- survival::lung
refit <- function(i) {
  rows <- sample(nrow(lung), replace = TRUE)
  fit <- survival::coxph(survival::Surv(time, status) ~ age + sex + ph.ecog, data = lung[rows, ])
  stats::coef(fit)
}
bootstrap <- function() {
  do.call(rbind, future_map(seq_len(refits), refit, .options = furrr_options(seed = 1)))
}
timed <- function(label) {
  seconds <- system.time(out <- bootstrap())[["elapsed"]]
  cat(sprintf("  %-52s %6.1f s\n", label, seconds))
  out
}

workers <- 2
cat(sprintf(
  "\n== Bootstrap of a Cox model on survival::lung, %d refits through furrr::future_map()\n",
  refits
))
plan(sequential)
a <- timed("plan(sequential)")
plan(starburst, workers = workers, launch_type = "LOCAL")
b <- timed(sprintf("plan(starburst, workers = %d), workers' start included", workers))
c <- timed(sprintf("plan(starburst, workers = %d), once more", workers))
plan(sequential)
cat("  identical to plan(sequential) under the same seed:", identical(a, b) && identical(a, c), "\n")
stopifnot(identical(a, b), identical(a, c))

cat("\n  Hazard ratios with 95 % bootstrap intervals\n")
table <- t(apply(exp(b), 2, quantile, c(0.5, 0.025, 0.975), na.rm = TRUE))
colnames(table) <- c("median", "low", "high")
print(round(table, 3))
