# Checks at the door. Each names the argument, what was given and what is allowed.

# The arguments that every front door has in common.
launch_arguments <- c(
  "workers",
  "cpu",
  "memory",
  "region",
  "timeout",
  "idle_timeout",
  "launch_type",
  "instance_type",
  "use_spot",
  "image",
  "environment",
  "max_hourly_cost",
  "max_total_cost",
  "auto_quota_request"
)

launch_types <- c("LOCAL", "FARGATE", "EC2")

describe <- function(x) {
  if (is.null(x)) {
    return("NULL")
  }
  if (is.atomic(x) && length(x) == 1L) {
    return(if (is.character(x) && !is.na(x)) encodeString(x, quote = "\"") else format(x))
  }
  if (is.atomic(x)) {
    return(sprintf("a %s vector of length %d", typeof(x), length(x)))
  }
  sprintf("an object of class %s", paste(class(x), collapse = "/"))
}

is_number <- function(x) {
  is.numeric(x) && length(x) == 1L && !is.na(x)
}

check_number <- function(x, arg, min, max, call, whole = FALSE, null = FALSE) {
  x <- given(x, arg, call)
  if (null && is.null(x)) {
    return(NULL)
  }
  ok <- is_number(x) && x >= min && x <= max && (!whole || x == floor(x))
  if (!ok) {
    kind <- if (whole) "a whole number" else "a number"
    range <- if (is.finite(max)) {
      sprintf("from %s to %s", fmt(min), fmt(max))
    } else {
      sprintf("of at least %s", fmt(min))
    }
    abort_input(arg, describe(x), paste(kind, range), call)
  }
  as.numeric(x)
}

fmt <- function(x) format(x, big.mark = ",", scientific = FALSE, trim = TRUE)

check_flag <- function(x, arg, call) {
  x <- given(x, arg, call)
  if (!is.logical(x) || length(x) != 1L || is.na(x)) {
    abort_input(arg, describe(x), "TRUE or FALSE", call)
  }
  x
}

check_string <- function(x, arg, call, null = FALSE) {
  x <- given(x, arg, call)
  if (null && is.null(x)) {
    return(NULL)
  }
  if (!is.character(x) || length(x) != 1L || is.na(x) || !nzchar(x)) {
    abort_input(arg, describe(x), "one non-empty string", call)
  }
  enc2utf8(x)
}

check_choice <- function(x, arg, choices, call) {
  x <- check_string(x, arg, call)
  found <- match(toupper(x), choices)
  if (is.na(found)) {
    allowed <- paste0("one of ", paste0("\"", choices, "\"", collapse = ", "), " (any case)")
    abort_input(arg, describe(x), allowed, call)
  }
  choices[[found]]
}

check_characters <- function(x, arg, call, null = TRUE) {
  x <- given(x, arg, call)
  if (null && is.null(x)) {
    return(NULL)
  }
  if (!is.character(x) || anyNA(x)) {
    abort_input(arg, describe(x), "a character vector without NA", call)
  }
  x
}

check_ids <- function(ids, arg, call) {
  ids <- given(ids, arg, call)
  if (!is.character(ids) || anyNA(ids)) {
    abort_input(arg, describe(ids), "task ids as `submit()` returned them", call)
  }
  enc2utf8(ids)
}

# `workers` may be a function, as everywhere in the future framework.
check_workers <- function(workers, call) {
  workers <- given(workers, "workers", call)
  if (is.function(workers)) {
    workers <- workers()
  }
  most <- getOption("starburst.max_workers", 500)
  if (is_number(workers) && workers > most && workers <= 1000 && workers == floor(workers)) {
    starburst_abort(
      c(
        sprintf("`workers` is %s, and more than %s ask for your word", fmt(workers), fmt(most)),
        i = "set `options(starburst.max_workers = 1000)` to allow up to 1,000"
      ),
      kind = "invalid_input",
      arg = "workers",
      call = call
    )
  }
  check_number(workers, "workers", 1, min(most, 1000), call, whole = TRUE)
}

# What tasks may use on Fargate, checked as a pair against its table (AWS, November 2026).
memory_range_gb <- list(
  "0.25" = c(0.5, 1, 2),
  "0.5" = 1:4,
  "1" = 2:8,
  "2" = 4:16,
  "4" = 8:30,
  "8" = seq(16, 60, by = 4),
  "16" = seq(32, 120, by = 8)
)

# On EC2 a worker has what its instance has room for, which is checked when the instance type is known.
check_size <- function(cpu, memory, call, launch_type = "FARGATE") {
  if (launch_type == "EC2") {
    check_number(cpu, "cpu", 0.25, 1024, call)
    if (cpu * 4 != floor(cpu * 4)) {
      abort_input("cpu", describe(cpu), "a multiple of 0.25", call)
    }
    mib <- round(memory_gb(memory, call) * 1024)
    if (mib < 512) {
      abort_input("memory", describe(memory), "at least 512 MB", call)
    }
    return(list(cpu = as.numeric(cpu), memory_mib = mib))
  }
  sizes <- as.numeric(names(memory_range_gb))
  if (!is_number(cpu) || !cpu %in% sizes) {
    abort_input("cpu", describe(cpu), paste("one of", paste(sizes, collapse = ", ")), call)
  }
  gb <- memory_gb(memory, call)
  allowed <- memory_range_gb[[as.character(cpu)]]
  if (!gb %in% allowed) {
    step <- if (length(allowed) > 1L) allowed[[2]] - allowed[[1]] else 1
    shown <- if (cpu == 0.25) {
      "0.5, 1 or 2 GB"
    } else {
      sprintf("%s to %s GB in steps of %s GB", min(allowed), max(allowed), step)
    }
    abort_input("memory", describe(memory), sprintf("%s with cpu = %s", shown, cpu), call)
  }
  list(cpu = as.numeric(cpu), memory_mib = gb * 1024)
}

memory_gb <- function(memory, call) {
  allowed <- "a number of GB, or a string such as \"8GB\" or \"512MB\""
  if (is_number(memory)) {
    return(as.numeric(memory))
  }
  if (!is.character(memory) || length(memory) != 1L || is.na(memory)) {
    abort_input("memory", describe(memory), allowed, call)
  }
  parts <- regmatches(memory, regexec("^\\s*([0-9]+(?:[.][0-9]+)?)\\s*(GB|MB)\\s*$", toupper(memory)))[[1]]
  if (length(parts) != 3L) {
    abort_input("memory", describe(memory), allowed, call)
  }
  as.numeric(parts[[2]]) / if (parts[[3]] == "MB") 1024 else 1
}

# Refuses arguments that would go to `.f` and whose names are close to a known one. An argument that `.f` itself has is meant.
refuse_near_misses <- function(names, known, .f, call) {
  own <- if (is.function(.f)) names(formals(args(.f)))
  for (name in setdiff(names, c("", own))) {
    meant <- nearest(name, known)
    if (!is.null(meant)) {
      starburst_abort(
        c(
          sprintf("`%s` is no argument of this call, and `%s` is", name, meant),
          i = sprintf("write `%s`; or, if `%s` is for `.f`, give `.f` an argument of that name", meant, name)
        ),
        kind = "invalid_input",
        arg = name,
        call = call
      )
    }
  }
}

# The known name that a slip of the pen makes into this one, or NULL.
nearest <- function(name, known) {
  plain <- function(x) gsub("[._]", "", tolower(x))
  away <- drop(utils::adist(plain(name), plain(known)))
  # Short names are close to everything: of these only a plural counts.
  letters <- nchar(plain(known))
  sorted <- function(x) vapply(strsplit(x, ""), function(x) paste(sort(x), collapse = ""), "")
  swapped <- sorted(plain(name)) == sorted(plain(known))
  plural <- plain(name) == paste0(plain(known), "s")
  close <- which(away <= (letters >= 5L) + (letters >= 9L) | swapped | plural)
  if (length(close)) known[[close[[which.min(away[close])]]]]
}
