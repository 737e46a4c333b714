#' Set up an AWS account, and take everything away again
#'
#' `starburst_setup()` makes one CloudFormation stack with all that workers on
#' AWS need, or finds the one that is there, and remembers it. Run it again at
#' any time: it changes nothing when all is well, goes on where it was
#' interrupted, and updates a stack that an older version of this package made.
#'
#' `starburst_teardown()` stops all tasks, deletes everything in the bucket,
#' all images and the stack with its stacks of EC2 instances, and forgets it.
#' When something held it up, run it again.
#'
#' ## What it costs
#' Nothing runs while no worker runs. What is stored costs cents a month: in
#' us-east-1 USD 0.023 per GB and month for objects, USD 0.10 for images and
#' USD 0.03 for logs (AWS, November 2026).
#'
#' ## Who may do it
#' The folder `system.file("cloudformation", package = "starburst")` has two
#' policies: who sets up or takes away needs both, `admin-policy.json` and
#' `user-policy.json`. When an administrator has set up the stack, a user needs
#' only the second, and runs `starburst_setup()` to find it.
#'
#' ## Ctrl-C
#' gives the prompt back, and AWS goes on with what it does. Run the same
#' function again to go on watching.
#'
#' @param region (string or `NULL`) AWS region, such as `"eu-central-1"`.
#'   Default `NULL`: as `starburst_config()` or the environment says.
#' @param profile (string or `NULL`) Profile of the shared AWS configuration
#'   files. Default `NULL`: as the environment says.
#' @param stack (string) Name of the stack: `"starburst"`, or it begins with
#'   `"starburst-"`. Several in one account do not disturb each other.
#'   `starburst_teardown()`: default `NULL`, the one that is known.
#' @param vpc_id,subnet_ids (string, character or `NULL`) An existing VPC and
#'   subnets of it that lead to the internet, both or neither. Default `NULL`: a
#'   VPC of its own.
#' @param ask (logical) Whether to ask before anything is made or deleted. A
#'   script must give `FALSE`.
#' @param bucket (string or `NULL`) Name of the bucket, beginning with
#'   `"starburst-"`. Default `NULL`: AWS chooses one.
#' @param object_expiry_days,log_retention_days (number or `NULL`) Days after
#'   which objects of sessions, and logs, are deleted. Default `NULL`: 30, or as
#'   it is.
#'
#' @returns `starburst_setup()`: what is remembered of the stack, invisibly: a
#'   list of strings `stack`, `region`, `profile` (if given), `bucket`,
#'   `cluster`, `subnets`, `security_group`, `execution_role`, `task_role`,
#'   `log_group`, `repository`, `instance_profile`; `NULL` if the answer was no.
#'   `starburst_teardown()`: a list of counts of what was deleted, invisibly:
#'   `tasks`, `objects`, `images`, `definitions`, `stacks`; `NULL` if the answer
#'   was no.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is wrong, also for a
#' script without `ask = FALSE`; `starburst_error_unauthenticated` without valid
#' credentials; `starburst_error_permission` with the action to ask for;
#' `starburst_error_unavailable` when AWS failed, with the event that says why.
#'
#' @examples
#' if (starburst_is_configured()) {
#'   starburst_setup(ask = FALSE)
#' }
#' @export
starburst_setup <- function(
  region = NULL,
  profile = NULL,
  stack = "starburst",
  vpc_id = NULL,
  subnet_ids = NULL,
  ask = interactive(),
  bucket = NULL,
  object_expiry_days = NULL,
  log_retention_days = NULL
) {
  call <- rlang::current_env()
  missing_ask <- missing(ask)
  check_place(region, profile, stack, call)
  check_stack_name(stack, call)
  parameters <- setup_parameters(vpc_id, subnet_ids, bucket, object_expiry_days, log_retention_days, call)
  access <- account_access(region %||% config_defaults(call)$region, profile)
  caller <- unwrap_native(rs_caller(access), call)
  if (is.null(caller$region)) {
    abort_input("region", "NULL", "an AWS region, as nothing else says which", call)
  }
  template <- read_template("starburst.yaml")
  keys <- as.character(names(parameters))
  values <- as.character(parameters)
  looked <- unwrap_native(rs_setup_look(access, stack, template, keys, values), call)
  if (looked$ready == "well") {
    known <- looked$record
  } else {
    lines <- setup_lines(stack, caller, looked, parameters)
    if (!may_go_on(lines, "Go ahead?", ask, missing_ask, call)) {
      say("nothing was made")
      return(invisible(NULL))
    }
    known <- follow(unwrap_native(rs_setup(access, stack, template, keys, values), call), "setting up", call)
  }
  place <- Filter(Negate(is.null), list(stack = stack, region = caller$region, profile = access$profile))
  before <- Filter(function(other) same_stack(other, place), read_config(call)$stacks)
  instances <- if (length(before)) before[[1L]]["instances"]
  record <- c(place, known, Filter(Negate(is.null), instances))
  save_stack(record, call)
  done <- if (looked$ready == "well") "is there and as it should be" else "is ready"
  say(sprintf("the stack `%s` in %s %s; `starburst_doctor()` checks all of it", stack, caller$region, done))
  offer_image(record, ask, call)
  invisible(record)
}

# The policies name what begins with "starburst-"; stacks of EC2 instances have "-ec2-" in their names.
check_stack_name <- function(stack, call) {
  check_string(stack, "stack", call)
  ok <- grepl("^starburst(-[a-z0-9]+)*$", stack) && nchar(stack) <= 40L && !grepl("-ec2(-|$)", stack)
  if (!ok) {
    abort_input(
      "stack",
      describe(stack),
      paste(
        "\"starburst\", or \"starburst-\" and letters a-z, figures and hyphens,",
        "at most 40 characters, without \"-ec2\""
      ),
      call
    )
  }
}

setup_parameters <- function(vpc_id, subnet_ids, bucket, expiry, retention, call) {
  check_string(vpc_id, "vpc_id", call, null = TRUE)
  check_characters(subnet_ids, "subnet_ids", call)
  if (!is.null(vpc_id) && !grepl("^vpc-[0-9a-f]+$", vpc_id)) {
    abort_input("vpc_id", describe(vpc_id), "the id of a VPC, such as \"vpc-0123abcd\"", call)
  }
  if (!is.null(subnet_ids) && (length(subnet_ids) == 0L || !all(grepl("^subnet-[0-9a-f]+$", subnet_ids)))) {
    abort_input("subnet_ids", describe(subnet_ids), "ids of subnets, such as \"subnet-0123abcd\"", call)
  }
  if (is.null(vpc_id) != is.null(subnet_ids)) {
    absent <- if (is.null(vpc_id)) "vpc_id" else "subnet_ids"
    abort_input(absent, "NULL", "given too: a VPC and subnets of it come together", call)
  }
  check_string(bucket, "bucket", call, null = TRUE)
  if (!is.null(bucket) && !grepl("^starburst-[a-z0-9-]{1,52}[a-z0-9]$", bucket)) {
    abort_input("bucket", describe(bucket), "\"starburst-\" and letters a-z, figures and hyphens", call)
  }
  check_number(expiry, "object_expiry_days", 1, 3650, call, whole = TRUE, null = TRUE)
  check_number(retention, "log_retention_days", 1, 3653, call, whole = TRUE, null = TRUE)
  parameters <- list(
    VpcId = vpc_id,
    SubnetIds = if (!is.null(subnet_ids)) paste(subnet_ids, collapse = ","),
    BucketName = bucket,
    ObjectExpiryDays = if (!is.null(expiry)) fmt_plain(expiry),
    LogRetentionDays = if (!is.null(retention)) fmt_plain(retention)
  )
  unlist(Filter(Negate(is.null), parameters))
}

fmt_plain <- function(x) format(x, scientific = FALSE, trim = TRUE)

setup_lines <- function(stack, caller, looked, parameters) {
  where <- sprintf("in account %s, region %s", caller$account, caller$region)
  if (looked$ready == "unfinished") {
    return(c(
      sprintf("The stack `%s` %s is in %s, and will be brought up to date.", stack, where, looked$status),
      "Idle, it costs cents a month: storage of objects, images and logs only."
    ))
  }
  network <- if ("VpcId" %in% names(parameters)) {
    sprintf("a security group in your VPC %s", parameters[["VpcId"]])
  } else {
    "a VPC with two public subnets and a security group that lets nothing in"
  }
  c(
    sprintf("The CloudFormation stack `%s` will be made %s, with", stack, where),
    "- a private S3 bucket for sessions",
    "- an ECS cluster, a repository for images, a log group",
    paste("-", network),
    "- roles for workers, and for EC2 instances",
    "Idle, it costs cents a month: about USD 0.023 per GB and month for objects, 0.10 for images, 0.03 for logs.",
    "There is no NAT gateway, load balancer or instance. `starburst_teardown()` takes it all away."
  )
}

#' @rdname starburst_setup
#' @export
starburst_teardown <- function(region = NULL, profile = NULL, stack = NULL, ask = interactive()) {
  call <- rlang::current_env()
  missing_ask <- missing(ask)
  record <- stack_or_name(region, profile, stack, call)
  check_stack_name(record$stack, call)
  access <- access_of(record)
  caller <- unwrap_native(rs_caller(access), call)
  found <- unwrap_native(rs_teardown_look(access, record$stack, instances_of(record)), call)
  if (!found$stack && length(found$instances) == 0L) {
    forget_stack(record, call)
    say(sprintf("there is no stack `%s` in %s: nothing to take away", record$stack, caller$region %||% "AWS"))
    return(invisible(list(tasks = 0, objects = 0, images = 0, definitions = 0, stacks = 0)))
  }
  lines <- teardown_lines(record$stack, caller, found)
  if (!may_go_on(lines, "Delete all of it?", ask, missing_ask, call)) {
    say("nothing was deleted")
    return(invisible(NULL))
  }
  job <- unwrap_native(rs_teardown(access, record$stack, found$instances), call)
  gone <- follow(job, "taking away", call)
  forget_stack(record, call)
  say(sprintf("the stack `%s` is gone, with %s", record$stack, count_of(gone$objects, "object version")))
  invisible(gone)
}

teardown_lines <- function(stack, caller, found) {
  more <- if (found$more) "more than " else ""
  c(
    sprintf("This deletes for good, in account %s, region %s:", caller$account, caller$region %||% "unknown"),
    if (found$stack) sprintf("- the stack `%s`", stack),
    if (length(found$instances)) {
      paste("- the stacks", paste0("`", found$instances, "`", collapse = ", "))
    },
    if (!is.null(found$bucket)) {
      sprintf(
        "- the bucket `%s` with %s%s and %s%s, in all versions",
        found$bucket,
        more,
        count_of(found$sessions, "session"),
        more,
        count_of(found$objects, "object")
      )
    },
    if (found$images > 0) paste("-", count_of(found$images, "image")),
    if (found$tasks > 0) paste("-", count_of(found$tasks, "running task"))
  )
}

count_of <- function(n, what) paste0(fmt(n), " ", what, if (n != 1) "s")
