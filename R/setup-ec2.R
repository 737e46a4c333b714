#' Set up EC2 instances for workers
#'
#' Makes a small CloudFormation stack for each instance type, with a group of
#' instances that grows with the tasks on it and shrinks to none, and puts it
#' into the cluster that [starburst_setup()] made. It costs nothing while no
#' worker runs. Run it again to change `max_instances` or to go on after a
#' failure.
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
  template <- read_template("starburst-ec2.yaml")
  made <- character()
  for (spot in if (identical(use_spot, "fallback")) c(TRUE, FALSE) else use_spot) {
    # Remembered before they are made, so that a teardown finds also what was made in part.
    names <- paste0(
      record$stack,
      "-ec2-",
      gsub(".", "-", instance_types, fixed = TRUE),
      if (spot) "-spot" else "-ondemand"
    )
    record$instances <- paste(unique(c(instances_of(record), names)), collapse = ",")
    save_stack(record, call)
    job <- rs_setup_instances(access_of(record), record, template, instance_types, spot, max_instances)
    made <- c(made, follow(unwrap_native(job, call), "setting up instances", call)$stacks)
  }
  say(sprintf("ready for workers with `launch_type = \"EC2\"`: %s", paste(instance_types, collapse = ", ")))
  invisible(made)
}
