# What a lock file of renv names: renv.lock of version 1 (Requirements) and 2 (the fields of DESCRIPTION).

# The largest lock file that is read; one of 500 packages has about 1 MB.
most_lock_bytes <- 64 * 2^20

# The lock file of the project that this R works in, or NULL. Looked for in the folders above too, up to the project's root.
project_lock <- function(folder = getwd()) {
  named <- Sys.getenv("RENV_PATHS_LOCKFILE")
  if (nzchar(named) && file.exists(named) && !dir.exists(named)) {
    return(named)
  }
  project <- Sys.getenv("RENV_PROJECT")
  if (nzchar(project)) {
    return(lock_in(project))
  }
  home <- normalizePath("~", mustWork = FALSE)
  repeat {
    found <- lock_in(folder)
    above <- dirname(folder)
    if (!is.null(found) || is_project_root(folder) || folder == home || above == folder) {
      return(found)
    }
    folder <- above
  }
}

lock_in <- function(project) {
  profile <- Sys.getenv("RENV_PROFILE", "default")
  file <- if (profile %in% c("", "default")) {
    file.path(project, "renv.lock")
  } else {
    file.path(project, "renv", "profiles", profile, "renv.lock")
  }
  if (file.exists(file)) file
}

is_project_root <- function(folder) {
  any(file.exists(file.path(folder, c(".git", ".here", "DESCRIPTION")))) ||
    length(list.files(folder, "[.]Rproj$")) > 0L
}

# The rows, problems and repositories of a lock file.
read_lock <- function(file, call) {
  lock <- parse_lock(file, call)
  if (!is.list(lock[["Packages"]])) {
    abort_lock(file, "it has no list of packages", call)
  }
  warn_of_other_r(lock[["R"]][["Version"]], file)
  repositories <- lock_repositories(lock)
  records <- lock[["Packages"]]
  records <- records[!names(records) %in% c(not_synced, "renv", base_packages())]
  found <- lapply(names(records), lock_row, records = records, repositories = repositories, file = file)
  list(rows = found, repositories = repositories)
}

parse_lock <- function(file, call) {
  size <- file.size(file)
  if (is.na(size) || size > most_lock_bytes) {
    abort_lock(file, if (is.na(size)) "there is no such file" else "it is too large", call)
  }
  bytes <- readBin(file, "raw", size)
  text <- if (any(bytes == 0)) NA else iconv(rawToChar(bytes), "UTF-8", "UTF-8")
  if (is.na(text)) {
    abort_lock(file, "it is not text in UTF-8", call)
  }
  read <- rs_json(text)
  if (inherits(read, "extendr_error")) {
    abort_lock(file, paste("it is not JSON:", read$value$message), call)
  }
  if (!is.list(read)) {
    abort_lock(file, "it has no list of packages", call)
  }
  read
}

abort_lock <- function(file, why, call) {
  starburst_abort(
    c(
      sprintf("the lock file `%s` cannot be used", file),
      x = why,
      i = "write it anew with `renv::snapshot()`, or use `environment = \"none\"` or the names of packages"
    ),
    kind = "environment",
    call = call
  )
}

warn_of_other_r <- function(version, file) {
  ours <- short_version(paste(R.version$major, R.version$minor, sep = "."))
  theirs <- short_version(version)
  if (length(theirs) && theirs != ours) {
    rlang::warn(
      c(
        sprintf("`%s` was written by R %s, and this is R %s", basename(file), theirs, ours),
        i = "some versions in it may not install; `renv::snapshot()` with this R writes it anew"
      ),
      class = "starburst_warning_environment"
    )
  }
}

short_version <- function(version) {
  if (is.character(version) && length(version) == 1L) sub("^([0-9]+[.][0-9]+).*$", "\\1", version)
}

lock_repositories <- function(lock) {
  listed <- lock[["R"]][["Repositories"]]
  named <- vapply(listed, function(one) text_of(one, "Name"), "")
  urls <- vapply(listed, function(one) sub("/+$", "", text_of(one, "URL")), "")
  repositories <- rlang::set_names(as.character(urls), as.character(named))
  repositories <- repositories[nzchar(repositories)]
  if (length(repositories) == 0L) {
    repositories <- session_repositories()
  }
  version <- lock[["Bioconductor"]][["Version"]]
  if (is.character(version)) {
    of_bioconductor <- bioconductor_repositories(version = version)
    repositories <- c(repositories, of_bioconductor[!of_bioconductor %in% repositories])
  }
  repositories
}

text_of <- function(record, name) {
  value <- if (is.list(record)) record[[name]]
  if (is.character(value) && length(value) == 1L) value else ""
}

# One package of the lock file, as a list of the columns, or with `problem`.
lock_row <- function(package, records, repositories, file) {
  record <- records[[package]]
  fields <- vapply(names(record), function(name) text_of(record, name), "")
  source <- switch(
    field_of(fields, "Source"),
    Repository = ,
    CRAN = ,
    Bioconductor = source_of_repository(as_repository(fields, repositories), repositories),
    GitHub = source_of_host("github", fields),
    GitLab = source_of_host("gitlab", fields),
    Git = source_of_git(fields),
    Local = source_of_folder(package, fields),
    list(
      problem = sprintf("`%s` gives its source as %s", basename(file), describe(field_of(fields, "Source")))
    )
  )
  needs <- lock_dependencies(record)
  row <- list(package = package, version = field_of(fields, "Version"), reason = "renv.lock")
  row$dependencies <- in_order(intersect(needs, names(records)))
  c(row, source)
}

# A record without a repository, or with one that the lock does not list, is of the first that it lists.
as_repository <- function(fields, repositories) {
  name <- field_of(fields, "Repository")
  if (field_of(fields, "Source") == "Bioconductor") {
    version <- grep("/packages/[0-9.]+/bioc$", repositories, value = TRUE)
    # The version of the lock file counts for all of its packages.
    fields["Repository"] <- if (length(version)) {
      paste("Bioconductor", sub("^.*/packages/([0-9.]+)/bioc$", "\\1", version[[1L]]))
    } else {
      "Bioconductor"
    }
  } else if (!nzchar(name)) {
    fields["Repository"] <- repositories[[1L]]
  }
  fields
}

lock_dependencies <- function(record) {
  listed <- unlist(record[c("Requirements", "Depends", "Imports", "LinkingTo")], use.names = FALSE)
  parts <- unlist(strsplit(as.character(listed), ",", fixed = TRUE))
  setdiff(gsub("[[:space:]]|[(].*$", "", parts), c("R", ""))
}
