# Which packages a session needs, in which version, from where, and why.

row_of <- function(needs, package) as.list(needs[needs$package == package, ])

test_that("a package comes with all that it depends on, each with its version, in one order", {
  library <- local_library()
  withr::local_options(repos = c(CRAN = "https://cran.example.org/"))
  fake_package(library, "zeta", "0.1", Imports = "alpha (>= 1.0),\n    Beta, utils", Repository = "CRAN")
  fake_package(
    library,
    "alpha",
    "1.2.3",
    Depends = "R (>= 4.0), methods",
    LinkingTo = "notHere",
    Repository = "CRAN"
  )
  fake_package(library, "Beta", "2.0", Imports = "alpha", Repository = "CRAN")
  needs <- needs_here("zeta")
  expect_identical(needs$package, c("Beta", "alpha", "notHere", "zeta"))
  expect_identical(needs$version, c("2.0", "1.2.3", "", "0.1"))
  expect_identical(needs$dependencies, c("alpha", "notHere", "", "Beta, alpha"))
  expect_identical(needs$reason, c("needed by zeta", "needed by zeta", "needed by alpha", "named"))
  expect_identical(unique(needs$repository), "https://cran.example.org")
  expect_identical(unique(needs$source), "repository")
  expect_identical(attr(needs, "repositories"), c(CRAN = "https://cran.example.org"))
  expect_true(all(vapply(needs, is.character, NA)))
  expect_identical(needs_here(c("zeta", "Beta", "zeta"))$version, needs$version)
})

test_that("each way to install a package is told from its DESCRIPTION", {
  library <- local_library()
  withr::local_options(repos = c(CRAN = "@CRAN@", lab = "https://lab.example.org/r"))
  github <- c(RemoteType = "github", RemoteUsername = "o", RemoteRepo = "r", RemoteSha = "abc123")
  fake_package(library, "fromgithub", "1.0", github, RemoteHost = "api.github.com", RemoteSubdir = "pkg")
  fake_package(library, "fromghe", "1.0", github, RemoteHost = "https://git.example.org/api/v3")
  gitlab <- c(RemoteType = "gitlab", RemoteUsername = "group/sub", RemoteRepo = "r", RemoteSha = "def")
  fake_package(library, "fromgitlab", "1.0", gitlab, RemoteHost = "gitlab.com")
  fake_package(
    library,
    "fromclone",
    "1.0",
    RemoteType = "git",
    RemoteUrl = "git@github.com:o/r.git",
    RemoteSha = "abc"
  )
  fake_package(
    library,
    "frompak",
    "1.0",
    RemoteType = "standard",
    RemoteRepos = "https://mirror.example.org",
    Repository = "RSPM"
  )
  fake_package(
    library,
    "fromuniverse",
    "1.0",
    Repository = "https://o.r-universe.dev",
    RemoteUrl = "https://github.com/o/r"
  )
  fake_package(library, "fromlab", "1.0", Repository = "lab")
  fake_package(library, "frombioc", "1.0", biocViews = "Software", git_branch = "RELEASE_3_16")
  fake_package(library, "newbioc", "1.0", Repository = "Bioconductor 3.21", biocViews = "Software")
  fake_package(library, "withr2", "1.0", Priority = "recommended")
  packages <- list.files(library)
  needs <- needs_here(packages)
  expect_setequal(needs$package, packages)
  said <- function(package, columns) unlist(row_of(needs, package)[columns], use.names = FALSE)
  of_host <- c("source", "remote", "commit", "subdirectory")
  expect_identical(said("fromgithub", of_host), c("github", "o/r", "abc123", "pkg"))
  expect_identical(said("fromghe", of_host), c("github", "git.example.org/o/r", "abc123", ""))
  expect_identical(said("fromgitlab", of_host), c("gitlab", "group/sub/r", "def", ""))
  expect_identical(said("fromclone", of_host), c("github", "o/r", "abc", ""))
  where <- c("source", "repository")
  expect_identical(said("frompak", where), c("repository", "https://mirror.example.org"))
  expect_identical(said("fromuniverse", where), c("repository", "https://o.r-universe.dev"))
  expect_identical(said("fromlab", where), c("repository", "https://lab.example.org/r"))
  expect_identical(said("frombioc", where), c("bioconductor", "https://bioconductor.org/packages/3.16/bioc"))
  expect_identical(said("newbioc", where), c("bioconductor", "https://bioconductor.org/packages/3.21/bioc"))
  expect_identical(said("withr2", where), c("repository", "https://cloud.r-project.org"))
  repositories <- attr(needs, "repositories")
  expect_identical(
    repositories[1:2],
    c(CRAN = "https://cloud.r-project.org", lab = "https://lab.example.org/r")
  )
  expect_true("https://bioconductor.org/packages/3.16/data/annotation" %in% repositories)
  expect_true(all(needs$repository %in% c("", repositories)))
})

test_that("packages without a source are all named, with what to do", {
  library <- local_library()
  fake_package(library, "fromfolder", "1.0")
  fake_package(library, "movedaway", "1.0", RemoteType = "local", RemoteUrl = file.path(library, "gone"))
  fake_package(library, "fromdrat", "1.0", Repository = "mydrat")
  fake_package(
    library,
    "fromgit",
    "1.0",
    RemoteType = "git",
    RemoteUrl = "https://me:token@git.example.org/o/r",
    RemoteSha = "a"
  )
  packages <- c("fromfolder", "movedaway", "fromdrat", "fromgit", "nothere")
  cnd <- expect_error(needs_here(packages), class = "starburst_error_environment")
  expect_setequal(cnd$packages, packages)
  expect_match(conditionMessage(cnd), "environment = c(\"auto\", \"path/to/it\")", fixed = TRUE)
  expect_match(conditionMessage(cnd), "mydrat\" = \"https://", fixed = TRUE)
  expect_match(conditionMessage(cnd), "install.packages(\"nothere\")", fixed = TRUE)
  expect_no_match(conditionMessage(cnd), "token")
})

test_that("a session that needs what cannot travel is refused before anything starts", {
  local_store()
  fake_package(local_library(), "fromfolder", "1.0")
  expect_error(
    starburst_session(workers = 1, launch_type = "LOCAL", environment = "fromfolder"),
    "fromfolder",
    class = "starburst_error_environment"
  )
  expect_identical(nrow(starburst_list_sessions()), 0L)
})

test_that("a source folder travels as one tarball, named by what it holds", {
  cache <- withr::local_tempdir()
  withr::local_envvar(R_USER_CACHE_DIR = cache)
  folder <- withr::local_tempdir()
  path <- source_package(folder, "ownpackage", "0.0.1")
  first <- row_of(needs_here(path), "ownpackage")
  expect_identical(
    first[c("source", "version", "reason")],
    list(source = "local", version = "0.0.1", reason = "named")
  )
  expect_identical(basename(first$archive), "ownpackage_0.0.1.tar.gz")
  expect_true("ownpackage/R/code.R" %in% utils::untar(first$archive, list = TRUE))
  built <- file.mtime(first$archive)
  # Written again with the same content, and with what is never packed.
  writeLines("answer <- function() 42", file.path(path, "R", "code.R"))
  dir.create(file.path(path, ".git"))
  writeLines("x", file.path(path, ".git", "HEAD"))
  again <- row_of(needs_here(path), "ownpackage")
  expect_identical(again, first)
  expect_identical(file.mtime(again$archive), built)
  writeLines("answer <- function() 43", file.path(path, "R", "code.R"))
  expect_false(row_of(needs_here(path), "ownpackage")$commit == first$commit)
  # A tarball is taken as it is.
  from_tarball <- row_of(needs_here(first$archive), "ownpackage")
  expect_identical(from_tarball$archive, normalizePath(first$archive))
})

test_that("a package that is named by its source is not taken from where it was installed", {
  library <- local_library()
  withr::local_envvar(R_USER_CACHE_DIR = withr::local_tempdir())
  fake_package(library, "mine", "1.0", Repository = "CRAN")
  fake_package(library, "user", "1.0", Repository = "CRAN", Imports = "mine")
  path <- source_package(withr::local_tempdir(), "mine", "2.0")
  needs <- needs_here(c("user", path))
  expect_identical(row_of(needs, "mine")[c("version", "source")], list(version = "2.0", source = "local"))
})

test_that("a source package that cannot be built says why", {
  withr::local_envvar(R_USER_CACHE_DIR = withr::local_tempdir())
  path <- fake_package(withr::local_tempdir(), "broken", "one")
  expect_error(needs_here(path), "broken.*cannot be built", class = "starburst_error_environment")
})

test_that("auto takes what is attached, named and found in functions, and no tools", {
  withr::local_dir(withr::local_tempdir())
  library <- local_library()
  withr::local_package("survival")
  fake_package(library, "named", "1.0", Repository = "CRAN")
  fake_package(library, "infunction", "1.0", Repository = "CRAN")
  fake_package(library, "inhelper", "1.0", Repository = "CRAN")
  helper <- function(x) inhelper::g(x[1, ])
  code <- list(function(x, y = infunction:::f(x)) y, list(helper = helper), quote(base::sum(1)))
  needs <- needs_here("auto", "named", code = code)
  reasons <- rlang::set_names(needs$reason, needs$package)
  expect_identical(
    reasons[c("named", "infunction", "inhelper", "survival", "Matrix")],
    c(
      named = "named",
      infunction = "found in a function",
      inhelper = "found in a function",
      survival = "attached",
      Matrix = "needed by survival"
    )
  )
  expect_false(any(c("starburst", "base", "utils") %in% needs$package))
})

test_that("what only tools of the session have loaded does not travel", {
  out <- run_r(c(
    "loadNamespace('testthat'); loadNamespace('fastmap')",
    "cat(starburst_environment()$package)",
    "library(testthat); cat('\\n'); cat('brio' %in% starburst_environment()$package)"
  ))
  expect_false(any(
    c("testthat", "cli", "brio", "starburst") %in% strsplit(out[[length(out) - 1L]], " ")[[1L]]
  ))
  expect_match(out[[length(out) - 1L]], "fastmap")
  expect_identical(out[[length(out)]], "TRUE")
})

test_that("code names packages in many ways, and variables are none", {
  code <- quote({
    library(inlibrary)
    require("inrequire")
    requireNamespace("inquotes", quietly = TRUE)
    loadNamespace(variable)
    library(variable, character.only = TRUE)
    for (i in x[, 1]) {
      function(y = indefault::z) inbody::f(y)
    }
  })
  expect_identical(
    starburst:::packages_in(code),
    c("inbody", "indefault", "inlibrary", "inquotes", "inrequire")
  )
  expect_identical(starburst:::packages_in(list(stats::sd, sum, iris, NULL)), character())
})

test_that("nothing is needed for \"none\", and by a plan on this machine that was not asked", {
  expect_null(needs_here("none"))
  chosen <- function(...) {
    given <- list(...)
    local_plan(starburst, workers = 1, launch_type = "LOCAL", ...)
    starburst:::strategy_settings(future::plan())$environment
  }
  expect_null(chosen())
  expect_null(chosen(environment = "none"))
  expect_identical(chosen(environment = "auto"), "auto")
  expect_identical(chosen(environment = c("auto", "survival")), c("auto", "survival"))
  withr::local_options(starburst.environment = "auto")
  expect_identical(chosen(), "auto")
})

test_that("an argument that is no environment names what is allowed", {
  # Earlier versions of future keep a plan that was refused.
  local_plan(future::sequential)
  not_a_package <- withr::local_tempdir()
  bad <- list(
    1,
    character(),
    NA_character_,
    "",
    c("none", "auto"),
    "no such package!",
    "x/renv.lock",
    not_a_package
  )
  for (environment in bad) {
    for (raise in list(
      function() starburst_environment(environment),
      function() starburst_session(workers = 1, launch_type = "LOCAL", environment = environment),
      function() future::plan(starburst, workers = 1, launch_type = "LOCAL", environment = environment)
    )) {
      cnd <- expect_error(raise(), class = "starburst_error_invalid_input")
      expect_identical(cnd$arg, "environment")
    }
  }
})

test_that("starburst_environment() shows what travels and what does not, and builds nothing", {
  library <- local_library()
  withr::local_options(
    repos = c(CRAN = "https://cran.example.org", lab = "https://me:secret@lab.example.org")
  )
  cache <- withr::local_tempdir()
  withr::local_envvar(R_USER_CACHE_DIR = cache)
  fake_package(library, "fromcran", "1.0", Repository = "CRAN")
  fake_package(library, "fromlab", "1.0", Repository = "lab")
  fake_package(library, "fromfolder", "1.0")
  remote <- c(RemoteType = "github", RemoteUsername = "o", RemoteRepo = "r", RemoteSha = "0123456789")
  fake_package(library, "fromgithub", "1.0", remote)
  path <- source_package(withr::local_tempdir(), "mine", "2.0")
  shown <- starburst_environment(c("fromcran", "fromlab", "fromfolder", "fromgithub", path))
  expect_s3_class(shown, c("starburst_environment", "data.frame"), exact = TRUE)
  expect_identical(shown$package, c("fromcran", "fromfolder", "fromgithub", "fromlab", "mine"))
  expect_identical(shown$source, c("repository", "unknown", "github", "repository", "local"))
  expect_identical(nzchar(shown$problem), shown$source == "unknown")
  expect_length(list.files(cache), 0L)
  printed <- paste(capture.output(print(shown)), collapse = "\n")
  expect_match(
    printed,
    "5 packages.*From https://cran.*fromcran 1.0  named.*GitHub.*o/r@0123456.*Cannot travel"
  )
  expect_no_match(printed, "secret")
  expect_output(print(shown[, c("package", "version")]), "fromcran")
  expect_identical(nrow(starburst_environment("none")), 0L)
  expect_output(print(starburst_environment("none")), "no packages")
})
