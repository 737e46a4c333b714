# Where an installed package came from: a row of what is needed, or why its source is not known.

# The installed packages of this R by name: in which library each is found first.
installed_packages <- function(libraries = .libPaths()) {
  folders <- lapply(libraries, function(library) {
    names <- list.files(library)
    rlang::set_names(rep(library, length(names)), names)
  })
  found <- unlist(folders)
  found[!duplicated(names(found))]
}

# What DESCRIPTION says of the package in this folder, or NULL. Read once as long as the file is the same.
read_description <- function(folder) {
  installed <- file.path(folder, "Meta", "package.rds")
  file <- if (file.exists(installed)) installed else file.path(folder, "DESCRIPTION")
  changed <- file.mtime(file)
  if (is.na(changed)) {
    return(NULL)
  }
  known <- the$descriptions[[file]]
  if (is.null(known) || known$changed != changed) {
    fields <- tryCatch(
      if (file == installed) readRDS(file)$DESCRIPTION else read.dcf(file)[1L, ],
      error = function(cnd) NULL
    )
    known <- list(changed = changed, fields = fields, depends = depends_of(fields))
    assign(file, known, envir = the$descriptions)
  }
  if (!is.null(known$fields)) known
}

# Depends, Imports and LinkingTo: what must be there to install and load the package.
depends_of <- function(fields) {
  kinds <- intersect(c("Depends", "Imports", "LinkingTo"), names(fields))
  parts <- unlist(strsplit(fields[kinds], ",", fixed = TRUE), use.names = FALSE)
  names <- gsub("[[:space:]]|[(].*$", "", parts %||% character())
  in_order(setdiff(names, c("R", "")))
}

# In C's order, which is the same everywhere: what is needed is known by its hash.
in_order <- function(x) sort(unique(as.character(x)), method = "radix")

field_of <- function(fields, name, default = "") {
  value <- fields[name]
  if (length(value) != 1L || is.na(value)) default else trimws(enc2utf8(unname(value)))
}

# The source of a package by its DESCRIPTION: a list of the columns that differ, or one with `problem`.
source_of <- function(package, fields, repositories) {
  type <- field_of(fields, "RemoteType")
  switch(
    type,
    github = ,
    gitlab = source_of_host(type, fields),
    git = ,
    git2r = ,
    xgit = source_of_git(fields),
    local = source_of_folder(package, fields),
    bitbucket = ,
    svn = ,
    url = list(
      problem = sprintf("it was installed from %s", first_of(fields, c("RemoteUrl", "RemotePkgRef"), type))
    ),
    source_of_repository(fields, repositories)
  )
}

first_of <- function(fields, names, default) {
  values <- vapply(names, function(name) field_of(fields, name), "")
  c(values[nzchar(values)], default)[[1L]]
}

source_of_host <- function(type, fields) {
  owner <- field_of(fields, "RemoteUsername")
  name <- field_of(fields, "RemoteRepo")
  commit <- field_of(fields, "RemoteSha")
  if (!nzchar(owner) || !nzchar(name) || !nzchar(commit)) {
    return(list(
      problem = sprintf("it was installed from %s, and its DESCRIPTION does not say which commit", type)
    ))
  }
  host <- plain_host(field_of(fields, "RemoteHost"))
  public <- c(github = "github.com", gitlab = "gitlab.com")[[type]]
  list(
    source = type,
    remote = paste(c(if (nzchar(host) && host != public) host, owner, name), collapse = "/"),
    commit = commit,
    subdirectory = field_of(fields, "RemoteSubdir")
  )
}

# "api.github.com" and "https://git.example.org/api/v3" are ways to ask a host, not its name.
plain_host <- function(host) {
  host <- sub("/.*$", "", sub("^[a-z]+://([^/@]*@)?", "", host))
  ifelse(host == "api.github.com", "github.com", host)
}

# A clone's address may be one of GitHub or GitLab, whose archives need no git.
source_of_git <- function(fields) {
  url <- field_of(fields, "RemoteUrl")
  # Both https://host/owner/name.git and git@host:owner/name.git.
  parts <- regmatches(
    url,
    regexec("^(?:[a-z]+://)?(?:[^@/]+@)?([^/:]+)[/:](.+?)(?:[.]git)?/?$", url, perl = TRUE)
  )[[1L]]
  host <- if (length(parts) == 3L) parts[[2L]] else ""
  type <- c("github.com" = "github", "gitlab.com" = "gitlab")[host]
  if (is.na(type)) {
    return(list(problem = sprintf("it was installed by git from %s", without_secret(url))))
  }
  fields[c("RemoteUsername", "RemoteRepo")] <- c(dirname(parts[[3L]]), basename(parts[[3L]]))
  fields["RemoteHost"] <- host
  source_of_host(unname(type), fields)
}

# An address without the name and password in front of its host.
without_secret <- function(url) sub("//[^/@]*@", "//", url)

source_of_folder <- function(package, fields) {
  path <- sub("^(local::|file://)", "", first_of(fields, c("RemoteUrl", "RemotePkgRef"), ""))
  if (is_source_of(path, package)) {
    return(list(source = "local", archive = path))
  }
  list(
    problem = sprintf(
      "it was installed from %s, where its source is no more",
      if (nzchar(path)) path else "a folder"
    )
  )
}

source_of_repository <- function(fields, repositories) {
  name <- field_of(fields, "Repository")
  if (is_bioconductor(fields, name)) {
    return(list(source = "bioconductor", repository = bioconductor_repositories(fields)[["BioCsoft"]]))
  }
  # What comes with R is in CRAN's archive too.
  if (!nzchar(name) && field_of(fields, "Priority") == "recommended") {
    name <- "CRAN"
  }
  if (nzchar(name)) {
    url <- repository_url(name, field_of(fields, "RemoteRepos"), repositories)
    if (!is.na(url)) {
      return(list(source = "repository", repository = url))
    }
    return(list(
      problem = sprintf("it came from a repository called %s, whose address is not known", name),
      remedy = sprintf("name it: `options(repos = c(getOption(\"repos\"), \"%s\" = \"https://...\"))`", name)
    ))
  }
  list(problem = "it was installed from a folder or file, and its DESCRIPTION does not say from where")
}

# The repositories of this R. "@CRAN@" is what R has before somebody chose a mirror.
session_repositories <- function() {
  repositories <- unlist(getOption("repos"))
  repositories <- repositories[!is.na(repositories) & nzchar(repositories)]
  if (length(repositories) == 0L) {
    repositories <- c(CRAN = "@CRAN@")
  }
  if (is.null(names(repositories))) {
    names(repositories) <- rep("", length(repositories))
  }
  repositories[repositories == "@CRAN@"] <- "https://cloud.r-project.org"
  rlang::set_names(enc2utf8(sub("/+$", "", repositories)), names(repositories))
}

# Names under which binary mirrors of CRAN write themselves into DESCRIPTION.
cran_names <- c("CRAN", "RSPM", "PPM", "P3M")

repository_url <- function(name, remote, repositories) {
  if (grepl("^[a-z]+://", name)) {
    return(sub("/+$", "", name))
  }
  if (name %in% names(repositories)) {
    return(repositories[[name]])
  }
  if (grepl("^[a-z]+://", remote)) {
    return(sub("/+$", "", remote))
  }
  if (name %in% cran_names) {
    mirror <- intersect(cran_names, names(repositories))
    if (length(mirror)) repositories[[mirror[[1L]]]] else "https://cloud.r-project.org"
  } else if (name == "R-Forge") {
    "https://R-Forge.R-project.org"
  } else {
    NA_character_
  }
}

is_bioconductor <- function(fields, name) {
  startsWith(name, "Bioconductor") || (!nzchar(name) && nzchar(field_of(fields, "biocViews")))
}

# All repositories of one version of Bioconductor, by the names that Bioconductor gives them.
bioconductor_repositories <- function(fields = NULL, version = NULL) {
  version <- version %||% bioconductor_version(fields)
  mirror <- sub("/+$", "", getOption("BioC_mirror", "https://bioconductor.org"))
  folders <- c(
    BioCsoft = "bioc",
    BioCann = "data/annotation",
    BioCexp = "data/experiment",
    BioCworkflows = "workflows"
  )
  rlang::set_names(sprintf("%s/packages/%s/%s", mirror, version, folders), names(folders))
}

# What the package says, then the package BiocVersion, then what was current with this R (Bioconductor, November 2026).
bioconductor_version <- function(fields = NULL) {
  said <- c(field_of(fields, "Repository"), chartr("_", ".", field_of(fields, "git_branch")))
  found <- regmatches(said, regexpr("[0-9]+[.][0-9]+$", said))
  if (length(found)) {
    return(found[[1L]])
  }
  folder <- installed_packages()["BiocVersion"]
  known <- if (!is.na(folder)) read_description(file.path(folder, "BiocVersion"))
  if (!is.null(known)) {
    return(sub("^([0-9]+[.][0-9]+).*$", "\\1", field_of(known$fields, "Version")))
  }
  # Two releases a year, one release of R a year: R 4.2 had 3.16 last.
  sprintf("3.%d", 16L + 2L * (as.integer(sub("[.].*", "", R.version$minor)) - 2L))
}
