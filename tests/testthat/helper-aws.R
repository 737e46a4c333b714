# moto, a stand-in for AWS, as a process of its own that ends with the test file.

local_config <- function(env = parent.frame()) {
  withr::local_envvar(
    R_USER_CONFIG_DIR = withr::local_tempdir("config", .local_envir = env),
    .local_envir = env
  )
}

aws_python <- function() {
  python <- Sys.getenv("STARBURST_MOTO_PYTHON")
  skip_if(!file.exists(python), "STARBURST_MOTO_PYTHON does not name a Python with moto[server]")
  python
}

# What R needs to find its libraries would make this Python find the wrong ones.
run_python <- function(words, ...) {
  script <- c("-u", "LD_LIBRARY_PATH", aws_python(), test_path("aws-server.py"), words)
  system2("env", shQuote(script), ...)
}

# Asks the Python with moto for something; returns the words it printed.
ask_aws <- function(...) {
  out <- run_python(c(...), stdout = TRUE)
  status <- attr(out, "status")
  if (!is.null(status)) {
    stop("aws-server.py ended with status ", status)
  }
  out
}

# Starts the servers and points everything that asks AWS at them. Regions that no other test uses keep their addresses
# apart, since a process remembers them.
local_aws <- function(env = parent.frame()) {
  file <- withr::local_tempfile(.local_envir = env)
  run_python(c("serve", file, Sys.getpid()), wait = FALSE, stdout = FALSE, stderr = FALSE)
  wait_for(function() file.exists(file), 60)
  told <- readLines(file)
  withr::defer(tools::pskill(as.integer(told[[5]])), envir = env)
  no_credentials(env)
  withr::local_envvar(
    AWS_ENDPOINT_URL = told[[1]],
    AWS_ENDPOINT_URL_SERVICE_QUOTAS = told[[2]],
    AWS_ENDPOINT_URL_ECS = told[[4]],
    AWS_ACCESS_KEY_ID = "AKIAMOTO",
    AWS_SECRET_ACCESS_KEY = "moto",
    .local_envir = env
  )
  list(endpoint = told[[1]], denied = told[[3]])
}

# Nothing of this machine tells who we are.
no_credentials <- function(env = parent.frame()) {
  names <- c(
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE"
  )
  none <- rlang::set_names(rep(NA_character_, length(names)), names)
  withr::local_envvar(none, .local_envir = env)
  withr::local_envvar(
    AWS_EC2_METADATA_DISABLED = "true",
    AWS_CONFIG_FILE = file.path(tempdir(), "no-aws-config"),
    AWS_SHARED_CREDENTIALS_FILE = file.path(tempdir(), "no-aws-credentials"),
    .local_envir = env
  )
}
