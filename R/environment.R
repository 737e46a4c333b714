# What workers need of R packages.

# A data frame with one row a package, or NULL for nothing.
environment_needs <- function(environment, packages = character(), call = rlang::caller_env()) {
  NULL
}
