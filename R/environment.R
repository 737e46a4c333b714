# What packages the workers of a session need: named on the client, whatever platform it has; workers install them.

# Of R itself, and so wherever R is.
base_packages <- function() {
  c(
    "base",
    "compiler",
    "datasets",
    "graphics",
    "grDevices",
    "grid",
    "methods",
    "parallel",
    "splines",
    "stats",
    "stats4",
    "tcltk",
    "tools",
    "translations",
    "utils"
  )
}

# Workers have what they need of it.
not_synced <- "starburst"

# Loaded by who writes code, and not by the code: they and what only they need travel when they are attached or named.
session_tools <- c(
  "BiocManager",
  "covr",
  "devtools",
  "httpgd",
  "IRkernel",
  "languageserver",
  "lintr",
  "pak",
  "pkgbuild",
  "pkgdown",
  "pkgload",
  "profvis",
  "rcmdcheck",
  "remotes",
  "renv",
  "reprex",
  "roxygen2",
  "rsconnect",
  "rstudioapi",
  "styler",
  "testthat",
  "usethis"
)

# A path, and not the name of a package.
is_path <- function(x) grepl("[/\\\\]|^~|^[.]+$|[.](lock|json|tar[.]gz|tgz)$", x)
is_lock_path <- function(x) is_path(x) & grepl("[.](lock|json)$", x)

# The argument `environment` as its user may write it. Returned as it is: paths may hold other things later.
check_environment <- function(environment, call) {
  check_characters(environment, "environment", call, null = FALSE)
  allowed <- paste(
    "\"auto\", \"none\", the path of a lock file of renv, names of installed packages,",
    "or paths of source packages"
  )
  if (length(environment) == 0L || !all(nzchar(environment))) {
    abort_input("environment", describe(environment), allowed, call)
  }
  if ("none" %in% environment && length(environment) > 1L) {
    abort_input("environment", "\"none\" and more", "\"none\" alone, or without it", call)
  }
  locks <- environment[is_lock_path(environment)]
  if (length(locks) > 1L || length(locks) == 1L && "auto" %in% environment) {
    abort_input("environment", "\"auto\" and a lock file, or several", "one lock file, or \"auto\"", call)
  }
  for (path in environment[is_path(environment)]) {
    if (is_lock_path(path)) {
      if (!file.exists(path)) {
        abort_input("environment", paste0(describe(path), ", which does not exist"), allowed, call)
      }
    } else if (is.null(source_description(path.expand(path)))) {
      given <- paste0(describe(path), ", which is no source package")
      abort_input("environment", given, allowed, call)
    }
  }
  names <- environment[!is_path(environment)]
  odd <- names[!grepl("^[A-Za-z][A-Za-z0-9.]*[A-Za-z0-9]$", names)]
  if (length(odd)) {
    abort_input("environment", describe(odd[[1L]]), allowed, call)
  }
  enc2utf8(environment)
}

# The environment as a session keeps it: the working directory may change before it is resolved. NULL for none.
synced_environment <- function(environment) {
  if (identical(environment, "none")) {
    return(NULL)
  }
  paths <- is_path(environment)
  environment[paths] <- normalizePath(environment[paths])
  environment
}

# The packages that workers need, one a row; NULL when they are to use what they have. `code` is what is about to be
# evaluated: language objects, functions, and lists of them.
environment_needs <- function(environment, packages = NULL, call = rlang::caller_env(), code = NULL) {
  if (is.null(environment) || identical(environment, "none")) {
    return(NULL)
  }
  check_characters(packages, "packages", call)
  resolved <- resolve_environment(environment, packages, code, call)
  if (nrow(resolved$problems)) {
    abort_no_source(resolved$problems, call)
  }
  needs <- resolved$needs
  for (i in which(needs$source == "local")) {
    needs$archive[[i]] <- source_archive(needs$archive[[i]], needs$commit[[i]], call)
  }
  needs
}

abort_no_source <- function(problems, call) {
  said <- sprintf("`%s`: %s", problems$package, problems$problem)
  remedies <- unique(problems$remedy)
  starburst_abort(
    c(
      sprintf(
        "%s cannot be brought to the workers: %s",
        if (nrow(problems) == 1L) "a package" else paste(nrow(problems), "packages"),
        paste0("`", problems$package, "`", collapse = ", ")
      ),
      rlang::set_names(said, rep("x", length(said))),
      rlang::set_names(remedies, rep("i", length(remedies))),
      i = "or leave the workers what they have: `environment = \"none\"`"
    ),
    kind = "environment",
    packages = problems$package,
    call = call
  )
}

# What is needed, and what of it has no source that a worker could reach. Builds nothing.
resolve_environment <- function(environment, packages, code, call) {
  paths <- environment[is_path(environment)]
  folders <- paths[!is_lock_path(paths)]
  lock <- paths[is_lock_path(paths)]
  auto <- "auto" %in% environment
  if (auto) {
    lock <- project_lock()
  }
  search <- new_search(folders)
  wanted <- wanted_packages(setdiff(environment[!is_path(environment)], "auto"), "named")
  wanted <- c(wanted, wanted_packages(names(search$sources), "named"))
  used <- c(wanted_packages(packages, "named"), wanted_packages(packages_in(code), "found in a function"))
  if (length(lock)) {
    locked <- read_lock(lock[[1L]], call)
    search$repositories <- locked$repositories
    for (row in locked$rows) {
      # A source that was named comes before what the lock file says.
      if (is.null(search$sources[[row$package]])) {
        search$found[[row$package]] <- row
      }
    }
    if (auto) {
      warn_of_unlocked(used, c(names(search$found), names(wanted)), lock[[1L]], search)
    }
  } else if (auto) {
    wanted <- c(wanted, used, wanted_packages(attached_packages(), "attached"))
    find_all(search, wanted)
    wanted <- wanted_packages(loaded_packages(search), "loaded")
  }
  find_all(search, wanted)
  frame_of(search)
}

wanted_packages <- function(packages, reason) {
  packages <- setdiff(in_order(packages), c(base_packages(), not_synced))
  rlang::set_names(rep(reason, length(packages)), packages)
}

warn_of_unlocked <- function(used, locked, file, search) {
  missing <- setdiff(names(used), locked)
  missing <- missing[missing %in% names(search$installed)]
  if (length(missing)) {
    rlang::warn(
      c(
        sprintf("%s: used, but not in `%s`", paste0("`", missing, "`", collapse = ", "), basename(file)),
        i = sprintf(
          "add it there with `renv::snapshot()`, or use `environment = c(\"auto\", %s)`",
          paste0("\"", missing, "\"", collapse = ", ")
        )
      ),
      class = "starburst_warning_environment"
    )
  }
}

attached_packages <- function() sub("^package:", "", grep("^package:", search(), value = TRUE))

# Loaded and not yet found, and not there for the tools of the session or for this package only.
loaded_packages <- function(search) {
  loaded <- setdiff(loadedNamespaces(), c(names(search$found), base_packages()))
  tools <- c(intersect(loaded, session_tools), not_synced)
  of_tools <- tools
  repeat {
    depends <- unlist(lapply(tools, function(package) description_of(package, search)$depends))
    tools <- setdiff(depends, of_tools)
    if (length(tools) == 0L) {
      break
    }
    of_tools <- c(of_tools, tools)
  }
  setdiff(loaded, of_tools)
}

# A search for packages: what was found so far, and where to look.
new_search <- function(folders) {
  search <- new.env(parent = emptyenv())
  search$found <- list()
  search$repositories <- session_repositories()
  search$installed <- installed_packages()
  search$sources <- list()
  for (path in path.expand(folders)) {
    fields <- source_description(path)
    search$sources[[field_of(fields, "Package")]] <- list(
      path = path,
      fields = fields,
      depends = depends_of(fields)
    )
  }
  search
}

# DESCRIPTION of the package as this session has it: named source, loaded namespace, library.
description_of <- function(package, search) {
  source <- search$sources[[package]]
  if (!is.null(source)) {
    return(source)
  }
  folder <- if (isNamespaceLoaded(package)) {
    getNamespaceInfo(package, "path")
  } else if (package %in% names(search$installed)) {
    file.path(search$installed[[package]], package)
  }
  known <- if (!is.null(folder)) read_description(folder)
  # pkgload leaves this name in what it loads from a source folder.
  if (!is.null(known) && isNamespaceLoaded(package)) {
    if (exists(".__DEVTOOLS__", envir = asNamespace(package), inherits = FALSE)) {
      known$path <- folder
    }
  }
  known
}

# Adds the wanted packages, and what they depend on, level by level and each level in order, so that the same is found.
find_all <- function(search, wanted) {
  while (length(wanted)) {
    wanted <- wanted[!duplicated(names(wanted)) & !names(wanted) %in% names(search$found)]
    following <- character()
    for (package in names(wanted)) {
      row <- find_package(package, wanted[[package]], search)
      search$found[[package]] <- row
      added <- setdiff(row$dependencies, c(names(search$found), names(following)))
      following[added] <- rep(paste("needed by", package), length(added))
    }
    wanted <- following
  }
}

find_package <- function(package, reason, search) {
  row <- list(package = package, version = "", reason = reason, dependencies = character())
  known <- description_of(package, search)
  if (is.null(known)) {
    # What others only need for their compilation need not be installed here: any version will do.
    return(c(row, if (startsWith(reason, "needed by")) any_version(search) else not_installed(package)))
  }
  row$version <- field_of(known$fields, "Version")
  row$dependencies <- setdiff(known$depends, c(base_packages(), not_synced))
  source <- if (!is.null(known$path)) {
    list(source = "local", archive = known$path)
  } else {
    source_of(package, known$fields, search$repositories)
  }
  c(row, source)
}

any_version <- function(search) {
  list(source = "repository", repository = repository_url("CRAN", "", search$repositories))
}

not_installed <- function(package) {
  list(
    problem = "it is not installed here, so its version is not known",
    remedy = sprintf("install it: `install.packages(\"%s\")`", package)
  )
}

need_columns <- c(
  "package",
  "version",
  "source",
  "repository",
  "remote",
  "commit",
  "subdirectory",
  "archive",
  "dependencies",
  "reason"
)

name_its_source <- paste(
  "install it from a repository or from GitHub, or name the folder of its source,",
  "such as `environment = c(\"auto\", \"path/to/it\")`"
)

# What was found as two data frames.
frame_of <- function(search) {
  found <- search$found[in_order(names(search$found))]
  with_problem <- vapply(found, function(row) !is.null(row$problem), NA)
  rows <- found[!with_problem]
  column <- function(rows, name, default = "") {
    vapply(rows, function(row) row[[name]] %||% default, "", USE.NAMES = FALSE)
  }
  needs <- rlang::set_names(lapply(need_columns, column, rows = lapply(rows, flat_row)), need_columns)
  local <- needs$source == "local"
  needs$archive[!local] <- NA_character_
  needs$commit[local] <- vapply(path.expand(needs$archive[local]), content_hash, "")
  problems <- lapply(
    rlang::set_names(c("package", "version", "reason", "problem")),
    column,
    rows = found[with_problem]
  )
  problems$remedy <- column(found[with_problem], "remedy", name_its_source)
  needs <- as.data.frame(needs)
  repositories <- search$repositories
  more <- setdiff(needs$repository, c("", repositories))
  if (any(needs$source == "bioconductor")) {
    more <- c(more, setdiff(bioconductor_beside(needs), c(more, repositories)))
  }
  attr(needs, "repositories") <- c(repositories, rlang::set_names(more, plain_host(more)))
  list(needs = needs, problems = as.data.frame(problems))
}

flat_row <- function(row) {
  row$dependencies <- paste(in_order(row$dependencies), collapse = ", ")
  row
}

# The repositories with data and workflows of the versions of Bioconductor that are needed.
bioconductor_beside <- function(needs) {
  software <- unique(needs$repository[needs$source == "bioconductor"])
  versions <- unique(sub("^.*/packages/([0-9.]+)/bioc$", "\\1", software))
  in_order(unlist(lapply(versions, function(version) bioconductor_repositories(version = version))))
}
