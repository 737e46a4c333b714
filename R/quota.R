#' Quotas: how many vCPU the account may run
#'
#' `starburst_quota_status()` shows the limits and what is used of them.
#' `starburst_request_quota_increase()` asks AWS for more, which takes minutes to
#' days; the request is remembered, and `starburst_check_quota_request()` tells
#' how it stands.
#'
#' @inheritParams starburst_setup
#' @param vcpus (number) The limit to ask for, in vCPU: workers times their
#'   `cpu`.
#' @param launch_type (string) `"FARGATE"` or `"EC2"`, in any case.
#' @param use_spot (logical) Whether for Spot, which has a limit of its own.
#'   Default `FALSE`.
#' @param stack (string or `NULL`) Name of the stack whose tasks are counted.
#'   Default `NULL`: the one that is known.
#'
#' @returns `starburst_quota_status()`: a data frame, one row a limit:
#'   `launch_type`, `spot` (logical), `code`, `limit` (vCPU), `in_use` (vCPU of
#'   the cluster's tasks; `NA` for EC2 and without a stack), `pending` (vCPU
#'   asked for, `NA` if nothing is pending).
#'
#'   The others: a data frame, one row a request: `id`, `launch_type`, `spot`,
#'   `region`, `vcpus`, `status` (AWS's word, such as `"PENDING"`,
#'   `"CASE_OPENED"`, `"APPROVED"`, `"DENIED"`), `case_id` (of AWS Support, `NA`
#'   if there is none), `requested_at` (date-time);
#'   `starburst_request_quota_increase()` returns it invisibly.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` if a limit is that high already, or a request
#' is pending; those of credentials and permissions as [starburst_setup()] has.
#' @examples
#' if (starburst_is_configured()) {
#'   starburst_quota_status()
#' }
#' @export
starburst_quota_status <- function(region = NULL, profile = NULL, stack = NULL) {
  call <- rlang::current_env()
  record <- stack_or_name(region, profile, stack, call)
  found <- unwrap_native(rs_quotas(access_of(record), record$cluster), call)
  data.frame(
    launch_type = c("FARGATE", "FARGATE", "EC2", "EC2"),
    spot = c(FALSE, TRUE, FALSE, TRUE),
    as.data.frame(found)
  )
}

#' @rdname starburst_quota_status
#' @export
starburst_request_quota_increase <- function(
  vcpus,
  launch_type = "FARGATE",
  use_spot = FALSE,
  region = NULL,
  profile = NULL
) {
  call <- rlang::current_env()
  check_number(vcpus, "vcpus", 1, 1e6, call)
  launch_type <- check_choice(launch_type, "launch_type", c("FARGATE", "EC2"), call)
  check_flag(use_spot, "use_spot", call)
  access <- access_of(stack_or_name(region, profile, NULL, call))
  made <- unwrap_native(rs_quota_request(access, launch_type, use_spot, as.numeric(vcpus)), call)
  region <- access$region %||% unwrap_native(rs_region(access), call) %||% ""
  request <- list(id = made$id, launch_type = launch_type, spot = as.character(use_spot), region = region)
  remember_request(c(request, Filter(Negate(is.null), access["profile"])), call)
  say(sprintf(
    "asked AWS for %s vCPU (%s); `starburst_check_quota_request()` tells how it stands",
    fmt(vcpus),
    made$status
  ))
  invisible(request_frame(request, made))
}

#' @rdname starburst_quota_status
#' @export
starburst_check_quota_request <- function() {
  call <- rlang::current_env()
  rows <- lapply(remembered_requests(call), function(request) {
    access <- access_of(request)
    history <- unwrap_native(rs_quota_history(access, request$launch_type, as.logical(request$spot)), call)
    at <- match(request$id, history$id)
    # AWS forgets requests after some months.
    if (!is.na(at)) request_frame(request, lapply(history, `[`, at))
  })
  rows <- Filter(Negate(is.null), rows)
  if (length(rows)) do.call(rbind, rows) else request_frame(NULL, NULL)
}

request_frame <- function(request, told) {
  if (is.null(request)) {
    request <- list(id = character(), launch_type = character(), spot = logical(), region = character())
    told <- list(vcpus = numeric(), status = character(), case_id = character(), requested_at = numeric())
  }
  data.frame(
    id = request$id,
    launch_type = request$launch_type,
    spot = as.logical(request$spot),
    region = request$region,
    vcpus = told$vcpus,
    status = told$status,
    case_id = told$case_id,
    requested_at = as.POSIXct(told$requested_at, origin = "1970-01-01")
  )
}

request_fields <- c("id", "launch_type", "spot", "region", "profile")

request_file <- function() file.path(config_folder(), "quota-requests.dcf")

remembered_requests <- function(call) read_records(request_file(), request_fields, call)

remember_request <- function(request, call) {
  # The newest first; nobody asks about more.
  known <- utils::head(c(list(c(kind = "request", request)), remembered_requests(call)), 50L)
  write_records(known, request_file(), request_fields, call)
}
