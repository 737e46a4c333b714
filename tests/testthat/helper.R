# Every test works in a store of its own, and leaves no plan behind. The same tests run on directories and, with
# the program `starburst-s3` in STARBURST_TEST_S3_PROGRAM, on S3. Each process that runs test files has an S3 of its
# own: tests count its requests and cut its network.
start_s3 <- function(program) {
  said <- tempfile("s3")
  # It ends when its standard input is closed.
  running <- pipe(paste(shQuote(program), ">", shQuote(said)), "w")
  wait_for(function() file.exists(said) && length(readLines(said)) > 0L)
  address <- readLines(said)
  Sys.unsetenv(c("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"))
  Sys.setenv(
    STARBURST_TEST_S3 = address,
    STARBURST_STORE = "s3://starburst/default",
    AWS_ENDPOINT_URL_S3 = address,
    AWS_REGION = "us-east-1",
    AWS_EC2_METADATA_DISABLED = "true",
    AWS_ACCESS_KEY_ID = "AKIASTARBURSTTESTKIT",
    AWS_SECRET_ACCESS_KEY = "starburst-testkit-secret-of-nobody"
  )
  running
}

s3_server <- function() {
  address <- Sys.getenv("STARBURST_TEST_S3")
  if (nzchar(address)) address
}

local_store <- function(env = parent.frame()) {
  place <- if (is.null(s3_server())) {
    withr::local_tempdir("store", .local_envir = env)
  } else {
    sprintf("s3://starburst/%s", basename(tempfile("test-")))
  }
  withr::local_options(starburst.store = place, .local_envir = env)
  place
}

skip_on_s3 <- function(why) skip_if(!is.null(s3_server()), why)

# What the S3 of the tests answers to a request of ours.
ask_s3 <- function(what, ...) {
  values <- vapply(list(...), function(x) utils::URLencode(as.character(x), reserved = TRUE), "")
  query <- if (length(values)) paste0("?", paste0(names(values), "=", values, collapse = "&"))
  found <- url(paste0(s3_server(), "/-/", what, query))
  on.exit(close(found))
  readLines(found, warn = FALSE)
}

# The names of all objects of a store.
store_keys <- function(place) {
  if (is.null(s3_server())) {
    files <- list.files(place, recursive = TRUE)
    return(files[startsWith(files, "sessions/")])
  }
  folder <- sub("^s3://starburst/", "", place)
  sub(paste0(folder, "/"), "", ask_s3("keys", prefix = paste0(folder, "/")), fixed = TRUE)
}

store_sessions <- function(place) {
  unique(vapply(strsplit(store_keys(place), "/", fixed = TRUE), function(parts) parts[[2]], ""))
}

# Bytes of all objects of a store; of the part of it whose names match.
store_bytes <- function(place, pattern = "") {
  if (is.null(s3_server())) {
    files <- grep(pattern, store_keys(place), value = TRUE)
    return(sum(file.size(file.path(place, files))))
  }
  counts <- ask_s3("counts")
  as.numeric(sub("bytes_in ", "", grep("^bytes_in ", counts, value = TRUE)))
}

# Damages the first object whose name matches: "flip" a bit, "cut" it short, leave it "empty", or let it be "gone".
damage <- function(place, pattern, how) {
  key <- grep(pattern, store_keys(place), value = TRUE)[[1]]
  if (!is.null(s3_server())) {
    return(invisible(ask_s3("damage", key = paste0(sub("^s3://starburst/", "", place), "/", key), how = how)))
  }
  file <- file.path(place, key)
  if (how == "gone") {
    return(invisible(file.remove(file)))
  }
  bytes <- readBin(file, "raw", file.size(file))
  # Behind the two headers, in the part that every reader needs.
  at <- min(100, length(bytes))
  changed <- switch(
    how,
    flip = {
      bytes[[at]] <- xor(bytes[[at]], as.raw(1))
      bytes
    },
    cut = bytes[seq_len(40)],
    empty = raw()
  )
  writeBin(changed, file)
}

# A file system of its own for a directory: a disk that is soon full.
local_small_disk <- function(directory, size, env = parent.frame()) {
  skip_if_not(Sys.info()[["effective_user"]] == "root", "mounting a small file system needs root")
  options <- c("-t", "tmpfs", "-o", paste0("size=", size), "tmpfs", directory)
  skip_if(system2("mount", options, stderr = FALSE) != 0, "this system does not let root mount")
  withr::defer(system2("umount", c("-l", directory)), envir = env)
}

# The most memory that a process had at a time, in MB.
peak_memory <- function(pid) {
  line <- grep("VmHWM", readLines(sprintf("/proc/%s/status", pid)), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

local_plan <- function(..., env = parent.frame()) {
  old <- future::plan("list")
  withr::defer(
    {
      future::plan(old)
      stop_fleets()
    },
    envir = env
  )
  future::plan(...)
}

# What a change of plan does on current versions of future, and R's end on older ones.
stop_fleets <- function() {
  fleets <- starburst:::the$fleets
  for (key in ls(fleets)) {
    starburst:::fleet_stop(fleets[[key]])
  }
}

local_session <- function(..., workers = 2, env = parent.frame()) {
  # Should the test's process die, the workers leave soon.
  session <- starburst_session(workers = workers, launch_type = "LOCAL", idle_timeout = 60, ...)
  withr::defer(try(session$cleanup(force = TRUE), silent = TRUE), envir = env)
  session
}

# Polls for something that must happen; fails when it does not.
wait_for <- function(condition, seconds = 30) {
  end <- Sys.time() + seconds
  while (!condition()) {
    if (Sys.time() > end) {
      stop("waited in vain for ", deparse(substitute(condition)))
    }
    Sys.sleep(0.02)
  }
}

# Runs code in an R process of its own and returns what it printed.
run_r <- function(code, wait = TRUE, env = character()) {
  script <- tempfile(fileext = ".R")
  store <- getOption("starburst.store")
  writeLines(
    c(
      sprintf(".libPaths(c(%s))", paste0(encodeString(.libPaths(), quote = "\""), collapse = ", ")),
      if (!is.null(store)) {
        sprintf("options(starburst.store = %s)", encodeString(store, quote = "\""))
      },
      "library(starburst)",
      code
    ),
    script
  )
  out <- tempfile(fileext = ".txt")
  # A shell makes what it starts in the background deaf to Ctrl-C, which some versions of R respect.
  rscript <- c("--default-signal=INT", file.path(R.home("bin"), "Rscript"))
  system2("env", c(rscript, "--vanilla", script), stdout = out, stderr = out, wait = wait, env = env)
  if (wait) readLines(out, warn = FALSE) else out
}

worker_pids <- function(session) {
  # The brackets keep the shell that runs pgrep from finding itself.
  pattern <- paste0("[s]tarburst-worker .*--session ", session)
  suppressWarnings(as.integer(system2("pgrep", c("-f", shQuote(pattern)), stdout = TRUE)))
}

fleet_session <- function() {
  fleets <- starburst:::the$fleets
  handles <- Filter(Negate(is.null), lapply(ls(fleets), function(key) fleets[[key]]$handle))
  starburst:::rs_session_id(handles[[1]])
}

r_children <- function(session) {
  unlist(lapply(worker_pids(session), function(pid) {
    suppressWarnings(as.integer(system2("pgrep", c("-P", pid), stdout = TRUE)))
  }))
}

if (nzchar(Sys.getenv("STARBURST_TEST_S3_PROGRAM"))) {
  s3_running <- start_s3(Sys.getenv("STARBURST_TEST_S3_PROGRAM"))
}
