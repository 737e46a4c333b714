#' Check that everything is there
#'
#' Looks at credentials, region, stack, the template's version, the bucket (by
#' writing, being refused to write again, and deleting), roles, the image, the
#' log group and the Fargate quota. Shows one line a check, and for each failure
#' what to do. Changes nothing.
#'
#' @inheritParams starburst_setup
#' @param stack (string or `NULL`) Name of the stack. Default `NULL`: the one
#'   that is known, or `"starburst"`.
#' @param cpu (number or `NULL`) vCPU of one worker, which the quota must
#'   allow. Default `NULL`: as `starburst_config()` says, or 4.
#'
#' @returns A data frame of class `StarburstDoctor`, invisibly, one row a check:
#'   `check` (name), `ok` (`TRUE`, `FALSE`, or `NA` if something else must be
#'   put right first), `detail`, `remedy` (`NA` where none is needed).
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is wrong. What is wrong
#' in the account is in the value, not a condition.
#' @examples
#' if (starburst_is_configured()) {
#'   starburst_doctor()
#' }
#' @export
starburst_doctor <- function(region = NULL, profile = NULL, stack = NULL, cpu = NULL) {
  call <- rlang::current_env()
  record <- stack_or_name(region, profile, stack, call)
  defaults <- config_defaults(call)
  cpu <- cpu %||% defaults$cpu %||% 4
  check_number(cpu, "cpu", 0.25, 192, call)
  template <- read_template("starburst.yaml")
  version <- as.character(utils::packageVersion("starburst"))
  job <- rs_doctor(access_of(record), record$stack, template, defaults$image, version, cpu)
  # The checks themselves are shown, not how they are made.
  found <- quietly(follow(unwrap_native(job, call), "checking", call))
  found <- structure(as.data.frame(found), class = c("StarburstDoctor", "data.frame"))
  say(paste(doctor_lines(found), collapse = "\n"))
  invisible(found)
}

# A terminal still shows the line that changes.
quietly <- function(code) {
  withCallingHandlers(code, starburst_message = function(cnd) rlang::cnd_muffle(cnd))
}

doctor_lines <- function(found) {
  mark <- ifelse(
    is.na(found$ok),
    cli::col_grey("-"),
    ifelse(found$ok %in% TRUE, cli::col_green(cli::symbol$tick), cli::col_red(cli::symbol$cross))
  )
  lines <- paste0(mark, " ", found$check, ": ", found$detail)
  ill <- which(found$ok %in% FALSE)
  lines[ill] <- paste0(lines[ill], "\n  ", cli::symbol$arrow_right, " ", found$remedy[ill])
  lines
}

#' @export
print.StarburstDoctor <- function(x, ...) {
  cat(doctor_lines(x), sep = "\n")
  invisible(x)
}
