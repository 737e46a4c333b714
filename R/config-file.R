# The file that keeps what the user set and which stacks there are: records of name and value (DCF).

config_folder <- function() tools::R_user_dir("starburst", "config")

config_file <- function() file.path(config_folder(), "config.dcf")

# What is known of a stack. `instances` names the stacks of EC2 instances that belong to it.
stack_fields <- c(
  "stack",
  "region",
  "profile",
  "bucket",
  "cluster",
  "subnets",
  "security_group",
  "execution_role",
  "task_role",
  "log_group",
  "repository",
  "instance_profile",
  "object_expiry_days",
  "instances"
)

# Records of a file, each a named list of strings; none when there is no file.
read_records <- function(file, fields, call) {
  if (!file.exists(file)) {
    return(list())
  }
  found <- tryCatch(
    read.dcf(file, fields = c("kind", fields), keep.white = fields),
    error = function(e) {
      starburst_abort(
        c(
          sprintf("the file `%s` cannot be read", file),
          x = conditionMessage(e),
          i = "put it right, or delete it and run `starburst_setup()` again, which finds what is there"
        ),
        kind = "data",
        subject = file,
        call = call
      )
    }
  )
  lapply(seq_len(nrow(found)), function(row) {
    values <- found[row, !is.na(found[row, ]), drop = TRUE]
    names(values) <- colnames(found)[!is.na(found[row, ])]
    Encoding(values) <- "UTF-8"
    as.list(values)
  })
}

# Only the user may read it. It is written beside and renamed, so that a reader never sees half of it.
write_records <- function(records, file, fields, call) {
  old <- Sys.umask("077")
  on.exit(Sys.umask(old))
  fields <- c("kind", fields)
  values <- matrix(NA_character_, length(records), length(fields), dimnames = list(NULL, fields))
  for (row in seq_along(records)) {
    values[row, names(records[[row]])] <- enc2utf8(unlist(records[[row]]))
  }
  beside <- paste0(file, ".", Sys.getpid())
  written <- tryCatch(
    {
      dir.create(dirname(file), showWarnings = FALSE, recursive = TRUE)
      write.dcf(values, beside, keep.white = fields, useBytes = TRUE)
      Sys.chmod(beside, "600", use_umask = FALSE)
      file.rename(beside, file)
    },
    error = identity,
    warning = identity
  )
  if (!isTRUE(written)) {
    unlink(beside)
    starburst_abort(
      c(
        sprintf("the file `%s` cannot be written", file),
        x = if (inherits(written, "condition")) conditionMessage(written),
        i = "the environment variable R_USER_CONFIG_DIR chooses another folder"
      ),
      kind = "permission",
      subject = file,
      call = call
    )
  }
  invisible(file)
}

# The whole configuration: the user's settings as they are written, and the stacks.
read_config <- function(call = rlang::caller_env()) {
  records <- read_records(config_file(), unique(c(stack_fields, config_names)), call)
  kinds <- vapply(records, function(record) record[["kind"]] %||% "", "")
  plain <- lapply(records, function(record) record[setdiff(names(record), "kind")])
  settings <- plain[kinds == "settings"]
  list(
    settings = if (length(settings)) settings[[1L]] else list(),
    stacks = plain[kinds == "stack"]
  )
}

write_config <- function(config, call = rlang::caller_env()) {
  records <- c(
    if (length(config$settings)) list(c(kind = "settings", config$settings)),
    lapply(config$stacks, function(stack) c(kind = "stack", stack))
  )
  write_records(records, config_file(), unique(c(stack_fields, config_names)), call)
}

# Two records are of the same stack when name, region and profile are the same.
same_stack <- function(a, b) {
  identical(a[["stack"]], b[["stack"]]) &&
    identical(a[["region"]], b[["region"]]) &&
    identical(a[["profile"]], b[["profile"]])
}

save_stack <- function(record, call = rlang::caller_env()) {
  config <- read_config(call)
  others <- Filter(function(other) !same_stack(other, record), config$stacks)
  known <- record[intersect(stack_fields, names(record))]
  known <- known[lengths(known) == 1L]
  changed <- c(others, list(known))
  if (!identical(changed, config$stacks)) {
    config$stacks <- changed
    write_config(config, call)
  }
  invisible(record)
}

forget_stack <- function(record, call = rlang::caller_env()) {
  config <- read_config(call)
  left <- Filter(function(other) !same_stack(other, record), config$stacks)
  if (length(left) < length(config$stacks)) {
    config$stacks <- left
    write_config(config, call)
  }
}
