# Workers install what a session needs: on a repository of the tests, with real R processes that install packages.

test_that("packages are installed with what they need and their C code, and the second session installs nothing", {
  local_store()
  local_hosts()
  # As in a check of a package that uses this one: it limits how many processes that package starts.
  withr::local_envvar("_R_CHECK_LIMIT_CORES_" = "TRUE")
  needs <- needs_of("sbtop", list(sbtext = "1.0"))
  session <- session_with(needs, workers = 2)
  seen <- character()
  told <- withCallingHandlers(
    ask(session, c("sbtop", "sbcode", "sbtext")),
    starburst_message_environment = function(cnd) {
      seen <<- c(seen, conditionMessage(cnd))
      invokeRestart("muffleMessage")
    }
  )
  expect_length(seen, 1L)
  expect_match(seen, "packages")
  # The archive has the older version, the repository a newer one.
  expect_equal(told, c("sbtop 1.0", "sbcode 1.0", "sbtext 1.0"))
  expect_equal(built()[c("packages", "installed")], data.frame(packages = 6, installed = 6))
  again <- session_with(needs)
  expect_no_message(told <- ask(again, "sbtop"), class = "starburst_message_environment")
  expect_equal(told, "sbtop 1.0")
  expect_equal(nrow(built()), 1L)
})

test_that("a changed package alone is installed, on another host too", {
  local_store()
  local_hosts()
  suppressMessages(ask(session_with(needs_of(c("sbright", "sbfive"), list(sbtext = "1.0"))), "sbtext"))
  local_hosts()
  changed <- session_with(needs_of(c("sbright", "sbfive"), list(sbtext = "1.1")))
  expect_equal(suppressMessages(ask(changed, c("sbtext", "sbfive"))), c("sbtext 1.1", "sbfive 1.0"))
  expect_equal(built()$installed, c(5, 1))
})

test_that("a package of no particular version is installed as it is now, and nobody is warned", {
  local_store()
  local_hosts()
  session <- session_with(needs_of("sbtext", list(sbtext = "")))
  expect_no_warning(told <- suppressMessages(ask(session, "sbtext")))
  expect_equal(told, "sbtext 1.1")
})

test_that("a local package travels as source and is installed anew when it changes", {
  local_store()
  local_hosts()
  local_package <- function(says) {
    source <- write_source(
      withr::local_tempdir(.local_envir = parent.frame()),
      "sblocal",
      "0.1",
      "sbone",
      TRUE,
      says = says
    )
    needs <- needs_of("sbone")
    needs <- rbind(needs, needs)
    needs[2, c("package", "version", "source", "repository")] <- c("sblocal", "0.1", "local", "")
    needs$archive[2] <- pack_source(source, withr::local_tempdir(.local_envir = parent.frame()))
    needs$dependencies[2] <- "sbone"
    attr(needs, "repositories") <- c(TESTS = paste0("file://", test_repository()))
    needs
  }
  expect_equal(suppressMessages(ask(session_with(local_package("first")), "sblocal")), "sblocal first")
  expect_equal(suppressMessages(ask(session_with(local_package("second")), "sblocal")), "sblocal second")
  expect_equal(built()$installed, c(2, 1))
})

test_that("a package under development travels as it is in its folder", {
  skip_if_not_installed("pkgload")
  local_store()
  local_hosts()
  source <- write_source(withr::local_tempdir(), "sbdevel", "0.1", says = "as it was loaded")
  pkgload::load_all(source, quiet = TRUE)
  withr::defer(pkgload::unload("sbdevel"))
  expect_identical(starburst_environment("sbdevel")$source, "local")
  session <- local_session(environment = "sbdevel")
  expect_equal(suppressMessages(ask(session, "sbdevel")), "sbdevel as it was loaded")
})

test_that("a package that cannot be installed is one clear error, remembered until it is forgotten", {
  local_store()
  local_hosts()
  needs <- needs_of(c("sbone", "sbbroken"))
  for (attempt in 1:2) {
    session <- session_with(needs)
    cnd <- expect_error(suppressMessages(ask(session, "sbone")), class = "starburst_error_environment")
    text <- conditionMessage(cnd)
    expect_match(text, "package `sbbroken` cannot be installed on workers; a system library is missing")
    expect_match(text, "libcurl4-openssl-dev", fixed = TRUE)
    expect_match(text, "curl_that_is_not_there.h", fixed = TRUE)
  }
  expect_message(
    forgotten <- starburst_rebuild_environment(launch_type = "LOCAL"),
    "installs these packages anew"
  )
  expect_true(forgotten)
  expect_message(again <- starburst_rebuild_environment(launch_type = "LOCAL"), "not installed")
  expect_false(again)
})

test_that("a package that does not load is named, and what a plan and a map say is the same", {
  local_store()
  local_hosts()
  local_needs(needs_of("sbcrash"))
  expect_error(
    suppressMessages(starburst_map(1, identity, workers = 1, launch_type = "LOCAL", environment = "auto")),
    "package `sbcrash` is installed and does not load",
    class = "starburst_error_environment"
  )
  local_plan(starburst, workers = 1, launch_type = "LOCAL", environment = "sbcrash")
  cnd <- expect_error(
    suppressMessages(future::value(future::future(1))),
    class = "starburst_error_environment"
  )
  expect_s3_class(cnd, "FutureError")
  expect_match(conditionMessage(cnd), "this needs a system service")
})

test_that("a package that no repository has is named, and one that is there in another version is told", {
  local_store()
  local_hosts()
  needs <- needs_of("sbone")
  needs$package <- "sbnowhere"
  expect_error(
    suppressMessages(ask(session_with(needs), "sbnowhere")),
    "package `sbnowhere` (1.0) is in none of these repositories",
    fixed = TRUE,
    class = "starburst_error_environment"
  )
  session <- session_with(needs_of("sbone", list(sbone = "0.9")))
  expect_warning(
    told <- suppressMessages(ask(session, "sbone")),
    "package `sbone` is 1.0 on workers and 0.9 here",
    class = "starburst_warning_environment"
  )
  expect_equal(told, "sbone 1.0")
  expect_no_warning(ask(session, "sbone"), class = "starburst_warning_environment")
})

test_that("packages come from a server", {
  python <- Sys.getenv("STARBURST_MOTO_PYTHON")
  skip_if(!file.exists(python), "STARBURST_MOTO_PYTHON does not name a Python")
  local_store()
  local_hosts()
  out <- withr::local_tempfile()
  words <- c("-u", "LD_LIBRARY_PATH", python, test_path("package-server.py"), test_repository(), out)
  system2("env", shQuote(words), wait = FALSE, stdout = FALSE, stderr = FALSE)
  wait_for(function() file.exists(out))
  told <- scan(out, quiet = TRUE)
  withr::defer(tools::pskill(told[[2]]))
  address <- sprintf("http://127.0.0.1:%.0f", told[[1]])
  session <- session_with(needs_of("sbright", list(sbtext = "1.0"), address))
  expect_equal(suppressMessages(ask(session, c("sbright", "sbtext"))), c("sbright 1.0", "sbtext 1.0"))
  # They are fetched side by side.
  expect_gt(scan(paste0(out, ".most"), quiet = TRUE), 1)
  nobody <- session_with(needs_of("sbone", repository = "http://127.0.0.1:9"))
  expect_error(
    suppressMessages(ask(nobody, "sbone")),
    "no answer from http://127.0.0.1:9",
    class = "starburst_error_environment"
  )
})

test_that("what no session asked for is cleaned up, and what one uses stays", {
  local_store()
  local_hosts()
  old <- session_with(needs_of("sbone"))
  suppressMessages(ask(old, "sbone"))
  old$cleanup(force = TRUE)
  local_config()
  expect_length(built()$id, 1L)
  used <- session_with(needs_of("sbfour"))
  suppressMessages(ask(used, "sbfour"))
  gone <- suppressMessages(starburst_cleanup(older_than = 0, ask = FALSE))
  expect_equal(gone$kind, "environment")
  expect_equal(built()$packages, 1)
  expect_equal(ask(used, "sbfour"), "sbfour 1.0")
})

test_that("workers of this machine use its own library unless one is asked for", {
  local_store()
  local_hosts()
  local_needs(NULL)
  session <- local_session()
  session$submit(.libPaths()[[1]])
  expect_equal(session$collect(wait = TRUE)[[1]], .libPaths()[[1]])
  expect_equal(nrow(built()), 0L)
})

test_that("workers on ECS install from their bucket, say how far they are, and start no more for what cannot be", {
  host <- local_hosts()
  aws <- local_ecs("--env", paste0("TMPDIR=", host))
  withr::local_options(starburst.lease = 9)
  session_on_ecs <- function(needs, env = parent.frame()) {
    local_needs(needs, env)
    session <- suppressMessages(starburst_session(workers = 2, cpu = 1, memory = "2GB", environment = "auto"))
    withr::defer(try(session$cleanup(force = TRUE), silent = TRUE), envir = env)
    session
  }
  session <- session_on_ecs(needs_of("sbright", list(sbtext = "1.0")))
  session$map(1:4, function(i) getExportedValue("sbright", "hello")())
  seen <- capture_messages(values <- session$collect(wait = TRUE, timeout = 240))
  expect_equal(unique(unname(unlist(values))), "sbright 1.0")
  expect_match(seen, "packages", all = FALSE)
  before <- count_of(aws, "counts", "RunTask")
  broken <- session_on_ecs(needs_of("sbbroken"))
  expect_error(suppressMessages(ask(broken, "sbbroken")), class = "starburst_error_environment")
  expect_error(suppressMessages(ask(broken, "sbbroken")), "libcurl4", class = "starburst_error_environment")
  expect_lte(count_of(aws, "counts", "RunTask") - before, 3)
})
