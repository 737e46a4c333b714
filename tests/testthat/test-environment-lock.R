# Lock files of renv: what they name is what workers get.

write_lock <- function(
  packages,
  folder = withr::local_tempdir(.local_envir = env),
  version = R_now(),
  more = "",
  env = parent.frame()
) {
  file <- file.path(folder, "renv.lock")
  writeLines(
    c(
      "{",
      sprintf("\"R\": {\"Version\": \"%s\", \"Repositories\": [", version),
      "{\"Name\": \"CRAN\", \"URL\": \"https://cran.example.org/\"}, {\"Name\": \"lab\", \"URL\": \"https://lab.example.org\"}]},",
      more,
      "\"Packages\": {",
      packages,
      "}}"
    ),
    file
  )
  file
}

R_now <- function() paste(R.version$major, R.version$minor, sep = ".")

version_1 <- '
"cran": {"Package": "cran", "Version": "1.0", "Source": "Repository", "Repository": "CRAN", "Hash": "x",
  "Requirements": ["R", "lab", "utils"]},
"lab": {"Package": "lab", "Version": "2.0", "Source": "Repository", "Repository": "lab", "Requirements": []},
"plain": {"Package": "plain", "Version": "2.1", "Source": "Repository"},
"hub": {"Package": "hub", "Version": "3.0", "Source": "GitHub", "RemoteType": "github", "RemoteHost": "api.github.com",
  "RemoteUsername": "o", "RemoteRepo": "hub", "RemoteSha": "abc", "RemoteSubdir": "r"},
"lab2": {"Package": "lab2", "Version": "3.1", "Source": "GitLab", "RemoteHost": "gitlab.com",
  "RemoteUsername": "o", "RemoteRepo": "lab2", "RemoteSha": "def"},
"clone": {"Package": "clone", "Version": "3.2", "Source": "Git", "RemoteUrl": "https://github.com/o/clone.git", "RemoteSha": "fed"},
"bio": {"Package": "bio", "Version": "4.0", "Source": "Bioconductor"},
"renv": {"Package": "renv", "Version": "1.0.0", "Source": "Repository", "Repository": "CRAN"},
"starburst": {"Package": "starburst", "Version": "0.1.0", "Source": "Local", "RemoteUrl": "~/nowhere"}'

bioconductor <- "\"Bioconductor\": {\"Version\": \"3.18\"},"

test_that("a lock file of version 1 is read", {
  needs <- needs_here(write_lock(version_1, more = bioconductor))
  expect_identical(needs$package, c("bio", "clone", "cran", "hub", "lab", "lab2", "plain"))
  expect_identical(needs$version, c("4.0", "3.2", "1.0", "3.0", "2.0", "3.1", "2.1"))
  expect_identical(
    needs$source,
    c("bioconductor", "github", "repository", "github", "repository", "gitlab", "repository")
  )
  expect_identical(needs$remote, c("", "o/clone", "", "o/hub", "", "o/lab2", ""))
  expect_identical(needs$commit, c("", "fed", "", "abc", "", "def", ""))
  expect_identical(needs$subdirectory, c("", "", "", "r", "", "", ""))
  cran <- "https://cran.example.org"
  expect_identical(
    needs$repository,
    c("https://bioconductor.org/packages/3.18/bioc", "", cran, "", "https://lab.example.org", "", cran)
  )
  expect_identical(needs$dependencies, c("", "", "lab", "", "", "", ""))
  expect_identical(unique(needs$reason), "renv.lock")
  expect_identical(attr(needs, "repositories")[["CRAN"]], cran)
})

test_that("a lock file of version 2 has the fields of DESCRIPTION", {
  packages <- '
"a": {"Package": "a", "Version": "1.0", "Source": "Repository", "Repository": "CRAN", "Type": "Package",
  "Authors@R": "person(\\"A\\")", "Depends": ["R (>= 4.1)"], "Imports": ["b (>= 0.3)", "methods"], "LinkingTo": ["c"]},
"b": {"Package": "b", "Version": "0.4", "Source": "Repository", "Repository": "https://o.r-universe.dev", "Imports": "c, stats"},
"c": {"Package": "c", "Version": "7", "Source": "Repository", "Repository": "RSPM", "RemoteType": "standard"}'
  needs <- needs_here(write_lock(packages))
  expect_identical(needs$dependencies, c("b, c", "c", ""))
  expect_identical(
    needs$repository,
    c("https://cran.example.org", "https://o.r-universe.dev", "https://cran.example.org")
  )
})

test_that("the project's lock file is found from the folders in it, and no further up than its root", {
  project <- withr::local_tempdir()
  withr::local_envvar(RENV_PROJECT = NA, RENV_PATHS_LOCKFILE = NA, RENV_PROFILE = NA)
  write_lock('"cran": {"Package": "cran", "Version": "1.0", "Source": "Repository"}', project)
  below <- file.path(project, "analysis", "deep")
  dir.create(below, recursive = TRUE)
  withr::local_dir(below)
  expect_identical(needs_here("auto")$package, "cran")
  file.create(file.path(project, "analysis", ".here"))
  expect_false("cran" %in% needs_here("auto")$package)
  withr::local_envvar(RENV_PROJECT = project)
  expect_identical(needs_here("auto")$package, "cran")
})

test_that("what is used and not in the lock file is a warning, and can be added by name", {
  library <- local_library()
  project <- withr::local_tempdir()
  withr::local_envvar(RENV_PROJECT = project)
  write_lock('"cran": {"Package": "cran", "Version": "1.0", "Source": "Repository"}', project)
  fake_package(library, "extra", "1.0", Imports = "cran", Repository = "CRAN")
  fake_package(library, "cran", "9.9", Repository = "CRAN")
  expect_warning(
    needs <- needs_here("auto", code = quote(extra::f())),
    "`extra`: used, but not in `renv.lock`",
    class = "starburst_warning_environment"
  )
  expect_identical(needs$package, "cran")
  expect_no_warning(needs <- needs_here(c("auto", "extra"), code = quote(extra::f())))
  expect_identical(needs$package, c("cran", "extra"))
  expect_identical(needs$version, c("1.0", "1.0"))
})

test_that("a lock file of another R is a warning that names both", {
  file <- write_lock("", version = "3.6.1")
  expect_warning(needs_here(file), sprintf("R 3.6, and this is R %s", sub("[.][0-9]+$", "", R_now())))
  expect_no_warning(needs_here(write_lock("", version = R_now())))
})

test_that("a package of the lock file with no source is named", {
  packages <- '
"odd": {"Package": "odd", "Version": "1.0", "Source": "unknown"},
"moved": {"Package": "moved", "Version": "1.0", "Source": "Local", "RemoteUrl": "/nowhere/moved"}'
  cnd <- expect_error(needs_here(write_lock(packages)), class = "starburst_error_environment")
  expect_identical(cnd$packages, c("moved", "odd"))
})

test_that("a lock file that is none is named, with the reason", {
  file <- file.path(withr::local_tempdir(), "renv.lock")
  expect_refused <- function(content, why) {
    writeBin(content, file)
    expect_error(needs_here(file), why, class = "starburst_error_environment")
  }
  expect_refused(charToRaw("{\"Packages\": {"), "it is not JSON")
  expect_refused(raw(), "it is not JSON")
  expect_refused(charToRaw("[1, 2]"), "no list of packages")
  expect_refused(charToRaw("{\"Packages\": \"a\"}"), "no list of packages")
  expect_refused(charToRaw("\"text\""), "no list of packages")
  expect_refused(as.raw(c(0x7b, 0xff, 0x00, 0x7d)), "UTF-8|not JSON")
  expect_refused(charToRaw(strrep("[", 1e5)), "it is not JSON")
})

test_that("odd records of a lock file are told, not tripped over", {
  packages <- '
"a": {"Package": "a", "Version": ["1", "2"], "Source": {"x": null}, "Requirements": {"b": 1}},
"b": null,
"c": []'
  cnd <- expect_error(needs_here(write_lock(packages)), class = "starburst_error_environment")
  expect_identical(cnd$packages, c("a", "b", "c"))
})
