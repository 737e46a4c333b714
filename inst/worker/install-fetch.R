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
  if (nzchar(system)) sub(manager, paste0("\\1/__linux__/", system, "/\\3"), address) else address
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

# Downloads one file: "here", "absent" where the place says that it has none, or why it could not be had after three tries.
download <- function(address, file) {
  for (try in 1:3) {
    said <- tryCatch(
      {
        status <- utils::download.file(address, file, mode = "wb", quiet = TRUE)
        if (status == 0L && file.size(file) > 0) "here" else paste("status", status)
      },
      # A warning may mean that the file was cut short.
      warning = conditionMessage,
      error = conditionMessage
    )
    if (identical(said, "here")) {
      return(said)
    }
    unlink(file)
    if (grepl("status was '4(03|04|10)|No such file", said)) {
      return("absent")
    }
    Sys.sleep(try - 1)
  }
  said
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

# So many packages are on their way at once.
fetch_at_once <- 8L

# Fetches everything, several packages side by side. A list with `file`, a path for each row, or with `failure` and what
# it is `about`.
fetch_all <- function(rows, repositories, folder, tell) {
  options(HTTPUserAgent = user_agent(), timeout = max(600, getOption("timeout")))
  into <- file.path(folder, "sources")
  dir.create(into, showWarnings = FALSE)
  repositories_of <- function(row) Filter(nzchar, unique(c(row$repository, repositories)))
  # Asked once, before the processes that fetch: each of those would ask anew. Others are asked if they are needed.
  indexes <- new.env()
  for (i in which(!rows$source %in% c("local", "github", "gitlab"))) {
    lapply(utils::head(repositories_of(rows[i, ]), 1L), index_at, indexes)
  }
  fetch_one <- function(i) {
    row <- rows[i, ]
    tell("Fetching", i - 1L, nrow(rows), row$package)
    switch(
      row$source,
      local = file.path(folder, "archives", paste0(row$package, "_", row$version, ".tar.gz")),
      github = ,
      gitlab = fetch_commit(row, into),
      fetch_version(row, repositories_of(row), indexes, into)
    )
  }
  found <- suppressWarnings(parallel::mclapply(
    seq_len(nrow(rows)),
    fetch_one,
    mc.cores = fetch_at_once,
    mc.preschedule = FALSE
  ))
  for (i in seq_along(found)) {
    if (is.list(found[[i]])) {
      return(found[[i]])
    }
    if (!is.character(found[[i]]) || inherits(found[[i]], "try-error")) {
      words <- "package `%s` cannot be fetched: %s"
      why <- if (is.null(found[[i]])) "the process that fetched it was killed" else trimws(found[[i]])
      return(about_machine(words, rows$package[[i]], why))
    }
  }
  list(file = as.character(found))
}

# What a repository has, asked for once. NULL if it does not answer.
index_at <- function(repository, indexes) {
  address <- address_here(repository)
  if (is.null(indexes[[address]])) {
    indexes[[address]] <- list(index_of(address))
  }
  indexes[[address]][[1L]]
}

about_package <- function(...) list(about = "package", failure = sprintf(...))
about_machine <- function(...) list(about = "machine", failure = sprintf(...))

# The exact version from the repositories, now or from their archives; else another version that is there now, as where none is asked for. A path, or
# a list that says why there is none.
fetch_version <- function(row, repositories, indexes, into) {
  name <- paste0(row$package, "_", row$version, ".tar.gz")
  other <- NULL
  silent <- character()
  for (repository in repositories) {
    address <- address_here(repository)
    index <- index_at(repository, indexes)
    if (is.null(index)) {
      silent <- c(silent, repository)
      next
    }
    now <- index[index$package == row$package, ]
    exact <- now$address[now$version == row$version]
    if (is.null(other) && nrow(now) > 0L) {
      other <- now[1, ]
    }
    archived <- if (nzchar(row$version)) paste0(address, "/src/contrib/Archive/", row$package, "/", name)
    for (candidate in c(exact, archived)) {
      file <- file.path(into, name)
      said <- download(candidate, file)
      if (said == "here") {
        return(file)
      }
      if (said != "absent") {
        return(about_machine("package `%s` cannot be fetched from %s: %s", row$package, candidate, said))
      }
    }
  }
  # Another version is not for a repository that is only silent now.
  if (length(silent) > 0L) {
    place <- paste(silent, collapse = ", ")
    return(about_machine("package `%s` cannot be fetched: no answer from %s", row$package, place))
  }
  if (is.null(other)) {
    place <- paste(repositories, collapse = ", ")
    words <- "package `%s` (%s) is in none of these repositories: %s"
    return(about_package(words, row$package, row$version, place))
  }
  file <- file.path(into, paste0(row$package, "_", other$version, ".tar.gz"))
  said <- download(other$address, file)
  if (said == "here") {
    return(file)
  }
  about_machine("package `%s` cannot be fetched from %s: %s", row$package, other$address, said)
}

# The folder of a package in a commit, or why there is none.
fetch_commit <- function(row, into) {
  file <- file.path(into, paste0(row$package, "-", row$commit, ".tar.gz"))
  address <- commit_archive(row$source, row$remote, row$commit)
  said <- download(address, file)
  if (said == "absent") {
    words <- "package `%s` is not at %s: is it private, or not pushed?"
    return(about_machine(words, row$package, address))
  }
  if (said != "here") {
    return(about_machine("package `%s` cannot be fetched from %s: %s", row$package, address, said))
  }
  unpacked <- file.path(into, row$package)
  utils::untar(file, exdir = unpacked)
  top <- list.files(unpacked, full.names = TRUE)[[1]]
  package <- if (nzchar(row$subdirectory)) file.path(top, row$subdirectory) else top
  if (!file.exists(file.path(package, "DESCRIPTION"))) {
    return(about_package("%s has no package in `%s`", address, row$subdirectory))
  }
  package
}
