# The most instances of a type, where nobody says how many.
most_instances <- 1000

#' Set up EC2 instances for workers
#'
#' Makes a small CloudFormation stack for each instance type, with a group of
#' instances that grows with the tasks on it and shrinks to none, and puts it
#' into the cluster that [starburst_setup()] made. It costs nothing while no
#' worker runs. Run it again to change `max_instances` or to go on after a
#' failure.
#'
#' The first plan or session on a type makes its stack by itself, with these
#' defaults. Call this to choose `max_instances`, or for users who may not make
#' stacks.
#'
#' @inheritParams starburst_setup
#' @param instance_types (character) Such as `"c7g.4xlarge"`; types with ARM
#'   processors or GPUs get the image that fits.
#' @param use_spot (logical or string) Spot instances, which are cheaper and may
#'   be taken back; `"fallback"` makes both. Default `FALSE`.
#' @param max_instances (number) The most instances of each type, 1 to 10,000.
#'   Default 1000.
#' @param stack (string or `NULL`) Name of the stack they belong to. Default
#'   `NULL`: the one that is known.
#'
#' @returns The names of the stacks, which are also those of their capacity
#'   providers, invisibly.
#' @section Conditions:
#' `starburst_error_not_set_up` without a stack, and those of
#' [starburst_setup()].
#' @examples
#' if (starburst_is_configured()) {
#'   starburst_setup_ec2("c7g.4xlarge", use_spot = TRUE)
#' }
#' @export
starburst_setup_ec2 <- function(
  instance_types,
  use_spot = FALSE,
  max_instances = 1000,
  region = NULL,
  profile = NULL,
  stack = NULL
) {
  call <- rlang::current_env()
  check_characters(instance_types, "instance_types", call, null = FALSE)
  if (length(instance_types) == 0L || !all(grepl("^[a-z][a-z0-9-]*[.][a-z0-9-]+$", instance_types))) {
    abort_input("instance_types", describe(instance_types), "instance types, such as \"c7g.4xlarge\"", call)
  }
  if (!identical(use_spot, "fallback")) {
    check_flag(use_spot, "use_spot", call)
  }
  check_number(max_instances, "max_instances", 1, 10000, call, whole = TRUE)
  record <- account_settings(region, profile, stack, call)
  made <- make_instances(record, instance_types, use_spot, max_instances, call)
  say(sprintf("ready for workers with `launch_type = \"EC2\"`: %s", paste(instance_types, collapse = ", ")))
  invisible(made)
}

# Whether each of the stacks is one of Spot instances.
ways_to_pay <- function(use_spot) if (identical(use_spot, "fallback")) c(TRUE, FALSE) else use_spot

# The names of the stacks, which are those of their capacity providers.
instance_stacks <- function(stack, instance_types, spot) {
  paste0(stack, "-ec2-", gsub(".", "-", instance_types, fixed = TRUE), if (spot) "-spot" else "-ondemand")
}

# Makes the stacks be there, and returns their names.
make_instances <- function(record, instance_types, use_spot, max_instances, call) {
  template <- read_template("starburst-ec2.yaml")
  made <- character()
  for (spot in ways_to_pay(use_spot)) {
    # Remembered before they are made, so that a teardown finds also what was made in part.
    names <- instance_stacks(record$stack, instance_types, spot)
    record$instances <- paste(unique(c(instances_of(record), names)), collapse = ",")
    save_stack(record, call)
    job <- rs_setup_instances(access_of(record), record, template, instance_types, spot, max_instances)
    made <- c(made, follow(unwrap_native(job, call), "setting up instances", call)$stacks)
  }
  made
}

# Before a session on EC2: makes the instances of its type that the cluster does not have yet.
ensure_instances <- function(settings, config, call) {
  type <- settings$aws$instance_type
  record <- account_settings(settings$region, call = call)
  has <- rs_providers(access_of(record), record$cluster)
  if (inherits(has, "extendr_error")) {
    if (identical(has$value$kind, "permission")) {
      # Who may not look may still have workers started, where the instances are there.
      return(invisible())
    }
    unwrap_native(has, call)
  }
  use_spot <- switch(settings$aws$spot, first = c(TRUE, FALSE), only = TRUE, no = FALSE)
  missing <- Filter(function(spot) !instance_stacks(record$stack, type, spot) %in% has, use_spot)
  if (length(missing) == 0L) {
    return(invisible())
  }
  unwrap_native(rs_session_check(config), call)
  say(sprintf(
    paste(
      "instances of the type %s are used for the first time: a small stack is made for them (%s), which costs",
      "nothing while no worker runs"
    ),
    type,
    paste(vapply(missing, function(spot) instance_stacks(record$stack, type, spot), ""), collapse = ", ")
  ))
  for (spot in missing) {
    before <- account_settings(settings$region, call = call)
    tryCatch(
      make_instances(before, type, spot, most_instances, call),
      starburst_error_permission = function(cnd) {
        # What CloudFormation may not make is not there to be taken away.
        if (grepl("CloudFormation", conditionMessage(cnd), fixed = TRUE)) {
          save_stack(before, call)
        }
        abort_no_instances(cnd, record, type, use_spot, call)
      }
    )
  }
}

abort_no_instances <- function(cnd, record, type, use_spot, call) {
  spot <- if (length(use_spot) == 2L) "\"fallback\"" else format(use_spot)
  starburst_abort(
    c(
      sprintf(
        "there are no instances of the type %s in the cluster `%s`, and you may not make them",
        type,
        record$cluster
      ),
      i = sprintf(
        "ask your administrator to run `starburst_setup_ec2(\"%s\", use_spot = %s, region = \"%s\", stack = \"%s\")` once",
        type,
        spot,
        record$region,
        record$stack
      ),
      i = "or use `launch_type = \"FARGATE\"`"
    ),
    kind = "permission",
    call = call,
    parent = cnd
  )
}
