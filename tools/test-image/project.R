# A project of renv with two packages and what they need. usage: project.R <its folder> <repository>
words <- commandArgs(TRUE)
library <- file.path(words[[1]], "library")
dir.create(library)
.libPaths(library)
options(repos = c(TESTS = words[[2]]), renv.consent = TRUE)
utils::install.packages(c("sbright", "sbfive"), library, quiet = TRUE)
stopifnot(dir.exists(file.path(library, c("sbright", "sbtext", "sbfive"))))
renv::snapshot(words[[1]], library = library, type = "all", prompt = FALSE, force = TRUE)
