# Installs packages from CRAN if it answers; says so and fails if it does not.
packages <- commandArgs(TRUE)
options(timeout = 15, repos = c(CRAN = "https://cloud.r-project.org"))
there <- tryCatch(suppressWarnings(nrow(utils::available.packages())), error = function(cnd) 0L)
if (there == 0L) {
  message("CRAN does not answer.")
  quit(status = 1)
}
library <- .libPaths()[[1]]
if (file.access(library, 2) != 0) {
  library <- Sys.getenv("R_LIBS_USER")
  dir.create(library, recursive = TRUE, showWarnings = FALSE)
}
options(timeout = 600)
utils::install.packages(packages, lib = library, Ncpus = 2, quiet = TRUE)
