# Launch arguments that only matter for workers on AWS.

# Checks what belongs together, and completes it: what the native side needs beside the stack's record.
check_aws <- function(settings, given, call) {
  on_instances <- settings$launch_type == "EC2"
  if (on_instances && is.null(given$instance_type)) {
    abort_input(
      "instance_type",
      "NULL",
      "an EC2 instance type such as \"c7g.xlarge\" with launch_type = \"EC2\"",
      call
    )
  }
  if (!on_instances && !is.null(given$instance_type)) {
    abort_input(
      "instance_type",
      describe(given$instance_type),
      "NULL with launch_type = \"FARGATE\", which has no instances to choose from",
      call
    )
  }
  spot <- if (identical(given$use_spot, "fallback")) {
    "first"
  } else if (isTRUE(given$use_spot)) {
    "only"
  } else {
    "no"
  }
  list(
    spot = spot,
    instance_type = given$instance_type,
    arm = on_instances && is_arm(given$instance_type),
    image = given$image,
    max_hourly_cost = given$max_hourly_cost,
    max_total_cost = given$max_total_cost,
    auto_quota_request = isTRUE(given$auto_quota_request)
  )
}

# AWS names instance types with Graviton processors by a g behind the generation, such as c7g (November 2026).
is_arm <- function(instance_type) {
  grepl("^[a-z]+[0-9]+g[a-z]*[.]", instance_type) || startsWith(instance_type, "a1.")
}

# Everything the native side needs to start workers in the stack, and the store that they share with this R.
aws_config <- function(settings, call) {
  stack <- account_settings(settings$region, call = call)
  of_aws <- settings$aws
  image <- of_aws$image %||% default_image(stack)
  secrets <- check_secrets(call)
  number <- function(x) if (is.null(x)) NULL else as.numeric(x)
  aws <- list(
    stack = stack$stack,
    region = stack$region,
    cluster = stack$cluster,
    subnets = strsplit(stack$subnets, ",", fixed = TRUE)[[1L]],
    security_group = stack$security_group,
    execution_role = stack$execution_role,
    task_role = stack$task_role,
    log_group = stack$log_group,
    image = image,
    user = unname(Sys.info()[["user"]]),
    spot = of_aws$spot,
    arm = of_aws$arm,
    auto_quota_request = of_aws$auto_quota_request,
    secret_names = names(secrets),
    secret_arns = unname(secrets)
  )
  # Text and numbers that are absent are NULL, and stay in the list.
  aws["instance_type"] <- list(of_aws$instance_type)
  aws["max_hourly_cost"] <- list(number(of_aws$max_hourly_cost))
  aws["max_total_cost"] <- list(number(of_aws$max_total_cost))
  aws["cost_alert_threshold"] <- list(number(config_defaults(call)$cost_alert_threshold))
  list(aws = aws, region = stack$region, profile = stack$profile, store = paste0("s3://", stack$bucket))
}

# Makes a session, and says what was requested, what holds it and what it costs, before anything starts. Its environment
# is what is needed at this moment: `packages` and `code` are of the tasks that are about to be submitted.
create_session <- function(settings, detached, call, packages = NULL, code = NULL) {
  config <- c(native_config(settings, detached, call), travel_config(call))
  config["environment"] <- list(environment_config(settings$environment, packages, call, code))
  if (settings$launch_type == "EC2") {
    ensure_instances(settings, config, call)
  }
  made <- unwrap_native(rs_session_create(config), call)
  # Nothing to say is NA.
  if (!is.na(made$message) && !is_quiet()) {
    rlang::inform(made$message, class = "starburst_message_launch")
  }
  made$handle
}
