# What an environment costs: installing it, starting with it, changing one package of it, unpacking it. On a repository
# that is made here: packages of R code and data, which is about as much as real ones have, some with C code.
library(starburst)
args <- commandArgs(trailingOnly = TRUE)
count <- if (length(args)) as.integer(args[[1]]) else 60L

repository <- tempfile("repository")
contrib <- file.path(repository, "src", "contrib")
dir.create(contrib, recursive = TRUE)
make <- function(i, version) {
  package <- sprintf("sbbench%03d", i)
  path <- file.path(tempfile("source"), package)
  dir.create(file.path(path, "R"), recursive = TRUE)
  # Each needs one of those before it.
  before <- if (i > 1L) sprintf("sbbench%03d", i %/% 2L)
  writeLines(
    c(
      paste0("Package: ", package, "\nVersion: ", version, "\nTitle: A Package\nDescription: Is there."),
      "License: MIT\nAuthor: Nobody\nMaintainer: Nobody <nobody@example.com>",
      if (i > 1L) paste0("Imports: ", before)
    ),
    file.path(path, "DESCRIPTION")
  )
  functions <- sprintf(
    "f%d <- function(x, y = %d) {\n  z <- x + y * %d\n  list(z, paste(z, x), y)\n}",
    1:200,
    1:200,
    i
  )
  writeLines(functions, file.path(path, "R", "code.R"))
  dir.create(file.path(path, "inst"))
  set.seed(i)
  saveRDS(runif(1e5), file.path(path, "inst", "data.rds"))
  code <- i %% 4L == 0L
  if (code) {
    dir.create(file.path(path, "src"))
    writeLines(
      sprintf("double half%d(double x) { return x / %d; }", 1:100, 1:100),
      file.path(path, "src", "code.c")
    )
  }
  writeLines(
    c("exportPattern(\"^f\")", if (code) sprintf("useDynLib(%s)", package), sprintf("import(%s)", before)),
    file.path(path, "NAMESPACE")
  )
  file <- file.path(contrib, paste0(package, "_", version, ".tar.gz"))
  old <- setwd(dirname(path))
  on.exit(setwd(old))
  utils::tar(file, package, compression = "gzip", tar = "internal")
  data.frame(
    package = package,
    version = version,
    source = "repository",
    repository = paste0("file://", repository),
    remote = "",
    commit = "",
    subdirectory = "",
    archive = NA,
    dependencies = if (i > 1L) before else ""
  )
}
needs <- do.call(rbind, lapply(seq_len(count), make, version = "1.0"))
tools::write_PACKAGES(contrib, type = "source")
attr(needs, "repositories") <- c(BENCH = paste0("file://", repository))

options(starburst.store = tempfile("store"), starburst.quiet = TRUE)
host <- function() {
  Sys.setenv(TMPDIR = {
    place <- tempfile("host")
    dir.create(place)
    place
  })
}
# Seconds from making a session until its first task has ended.
run <- function(needs) {
  options(starburst.environment_needs = needs)
  environment <- if (is.null(needs)) "none" else "auto"
  session <- starburst_session(
    workers = 1,
    launch_type = "LOCAL",
    environment = environment,
    idle_timeout = 60
  )
  on.exit(session$cleanup(force = TRUE))
  took <- system.time({
    session$submit(Sys.time())
    session$collect(wait = TRUE, timeout = 3600)
  })
  took[["elapsed"]]
}
plain <- run(NULL)
host()
cold <- run(needs)
warm <- run(needs)
host()
elsewhere <- run(needs)
last <- sprintf("sbbench%03d", count)
changed <- needs
changed[count, ] <- make(count, "1.1")
tools::write_PACKAGES(contrib, type = "source", latestOnly = FALSE)
one <- run(changed)

config <- starburst:::native_config(starburst:::place_settings(), detached = TRUE)
built <- as.data.frame(starburst:::rs_libraries(config))
built <- built[order(built$built_at), ]
cat(sprintf("| %s | %s |\n", c("what", "---"), c("result", "---")), sep = "")
row <- function(what, format, ...) cat(sprintf("| %s | %s |\n", what, sprintf(format, ...)))
row("packages", "%d, of which %d with C code", count, count %/% 4L)
row("unpacked, packed", "%.1f MB, %.1f MB", built$unpacked[[1]] / 1e6, built$packed[[1]] / 1e6)
row("first task without an environment", "%.1f s", plain)
row(
  "first task, everything to be installed",
  "%.1f s, of which %.1f s install and store",
  cold,
  built$took[[1]]
)
row("first task, unpacked on this host", "%.1f s", warm)
row(
  "first task, to be fetched and unpacked",
  "%.1f s: %.1f s for fetching and unpacking",
  elsewhere,
  elsewhere - warm
)
row(
  "first task, one package changed",
  "%.1f s, of which %.1f s install %d and store",
  one,
  built$took[[2]],
  built$installed[[2]]
)
