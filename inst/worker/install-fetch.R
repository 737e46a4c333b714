# Finds the source, or the binary, of each package in exactly the version that is asked for, and fetches it.

# Repositories give binary packages to an R that says what it is.
user_agent <- function() {
  version <- getRversion()
  words <- paste(version, R.version$platform, R.version$arch, R.version$os)
  sprintf("R/%s R (%s)", version, words)
}

# The name under which Posit's package manager has binary packages for this system; "" if it has none.
binary_name <- function(os_release = "/etc/os-release") {
  if (!file.exists(os_release)) {
    return("")
  }
  lines <- gsub("[\"']", "", readLines(os_release, warn = FALSE))
  value <- function(name) sub("^[^=]*=", "", grep(paste0("^", name, "="), lines, value = TRUE))[1]
  codename <- value("VERSION_CODENAME")
  major <- sub("[.].*", "", value("VERSION_ID"))
  if (value("ID") %in% c("debian", "ubuntu") && !is.na(codename)) {
    codename
  } else if (value("ID") %in% c("rhel", "rocky", "almalinux") && !is.na(major)) {
    paste0("rhel", major)
  } else {
    ""
  }
}

# The address under which a repository offers packages for this platform: binary ones where it has them.
address_here <- function(address, system = binary_name()) {
  address <- sub("/+$", "", address)
  manager <- "^(https?://(packagemanager[.]posit[.]co|p3m[.]dev)/[^/]+)/(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})$"
  if (nzchar(system) && grepl(manager, address)) {
    return(sub(manager, paste0("\\1/__linux__/", system, "/\\3"), address))
  }
  address
}

# The archive of one commit of a repository on a forge.
commit_archive <- function(source, remote, commit) {
  parts <- strsplit(remote, "/", fixed = TRUE)[[1]]
  public <- if (source == "github") "github.com" else "gitlab.com"
  has_host <- grepl(".", parts[[1]], fixed = TRUE) && length(parts) > 2L
  host <- if (has_host) parts[[1]] else public
  path <- paste(if (has_host) parts[-1] else parts, collapse = "/")
  if (source == "github") {
    return(sprintf("https://%s/%s/archive/%s.tar.gz", host, path, commit))
  }
  sprintf("https://%s/%s/-/archive/%s/%s-%s.tar.gz", host, path, commit, basename(path), commit)
}

# Downloads one file. Whether that worked.
download <- function(address, file) {
  got <- tryCatch(
    suppressWarnings(utils::download.file(address, file, mode = "wb", quiet = TRUE)) == 0L,
    error = function(cnd) FALSE
  )
  ok <- got && file.exists(file) && file.size(file) > 0
  if (!ok) {
    unlink(file)
  }
  ok
}

# What a repository has now: version and file by package. NULL if it does not answer.
index_of <- function(address) {
  place <- paste0(address, "/src/contrib")
  rows <- tryCatch(
    suppressWarnings(utils::available.packages(place, type = "source", filters = "duplicates")),
    error = function(cnd) NULL
  )
  if (is.null(rows) || nrow(rows) == 0L) {
    return(NULL)
  }
  named <- if ("File" %in% colnames(rows)) rows[, "File"] else NA
  file <- ifelse(is.na(named), paste0(rows[, "Package"], "_", rows[, "Version"], ".tar.gz"), named)
  data.frame(
    package = rows[, "Package"],
    version = rows[, "Version"],
    address = paste0(rows[, "Repository"], "/", file)
  )
}

# Fetches everything. A list with `file`, a path for each row, or with `failure` and what it is `about`.
fetch_all <- function(rows, repositories, folder, tell) {
  options(HTTPUserAgent = user_agent(), timeout = max(600, getOption("timeout")))
  into <- file.path(folder, "sources")
  dir.create(into, showWarnings = FALSE)
  indexes <- new.env()
  files <- character(nrow(rows))
  for (i in seq_len(nrow(rows))) {
    row <- rows[i, ]
    tell("Fetching", i - 1L, nrow(rows), row$package)
    found <- switch(
      row$source,
      local = file.path(folder, "archives", paste0(row$package, "_", row$version, ".tar.gz")),
      github = ,
      gitlab = fetch_commit(row, into),
      fetch_version(row, unique(c(row$repository, repositories)), indexes, into)
    )
    if (is.null(found)) {
      return(not_found(row, unique(c(row$repository, repositories)), indexes))
    }
    files[[i]] <- found
  }
  list(file = files)
}

# The exact version from the repositories, now or from their archives; else another version that is there now.
fetch_version <- function(row, repositories, indexes, into) {
  file <- file.path(into, paste0(row$package, "_", row$version, ".tar.gz"))
  repositories <- repositories[nzchar(repositories)]
  for (repository in repositories) {
    address <- address_here(repository)
    if (is.null(indexes[[address]])) {
      indexes[[address]] <- list(index_of(address))
    }
    index <- indexes[[address]][[1]]
    now <- index[index$package == row$package & index$version == row$version, ]
    archived <- paste0(address, "/src/contrib/Archive/", row$package, "/", basename(file))
    for (candidate in c(now$address, archived)) {
      if (download(candidate, file)) {
        return(file)
      }
    }
  }
  for (repository in repositories) {
    index <- indexes[[address_here(repository)]][[1]]
    now <- index[index$package == row$package, ]
    # One that did not answer has no rows, and no frame.
    if (length(now$version) > 0L) {
      file <- file.path(into, paste0(row$package, "_", now$version[[1]], ".tar.gz"))
      if (download(now$address[[1]], file)) {
        return(file)
      }
    }
  }
  NULL
}

# The folder of a package in a commit.
fetch_commit <- function(row, into) {
  file <- file.path(into, paste0(row$package, "-", row$commit, ".tar.gz"))
  if (!download(commit_archive(row$source, row$remote, row$commit), file)) {
    return(NULL)
  }
  unpacked <- file.path(into, row$package)
  utils::untar(file, exdir = unpacked)
  top <- list.files(unpacked, full.names = TRUE)[[1]]
  package <- if (nzchar(row$subdirectory)) file.path(top, row$subdirectory) else top
  if (file.exists(file.path(package, "DESCRIPTION"))) package
}

not_found <- function(row, repositories, indexes) {
  if (row$source %in% c("github", "gitlab")) {
    place <- commit_archive(row$source, row$remote, row$commit)
    words <- sprintf("package `%s` cannot be fetched from %s", row$package, place)
    return(list(about = "machine", failure = paste0(words, ": is it private, or not pushed?")))
  }
  silent <- vapply(
    repositories[nzchar(repositories)],
    function(repository) is.null(indexes[[address_here(repository)]][[1]]),
    NA
  )
  if (any(silent)) {
    place <- paste(names(silent)[silent], collapse = ", ")
    words <- sprintf("package `%s` cannot be fetched: no answer from %s", row$package, place)
    return(list(about = "machine", failure = words))
  }
  words <- sprintf(
    "package `%s` (%s) is in none of these repositories: %s",
    row$package,
    row$version,
    paste(repositories, collapse = ", ")
  )
  list(about = "package", failure = words)
}
