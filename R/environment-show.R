#' What packages workers would get
#'
#' Shows what `environment = ` stands for here and now: which packages workers
#' would get, in which version, from where, and why. What has no source that a
#' worker can reach is shown with what to do about it; a session would refuse it.
#' Nothing is installed or sent, and no network is used.
#'
#' `"auto"` is the lock file of renv if the project has one: `renv.lock` in the
#' working directory or above it, up to the root of the project. Without one it
#' is what is attached, what is loaded, what tasks name in `packages`, what their
#' functions name as `pkg::name`, and all that these depend on. Packages that
#' only tools such as devtools, testthat or RStudio brought are left out, unless
#' they are attached or named. Base R and starburst are never in it.
#'
#' @param environment (character) What [starburst()] takes: `"auto"`, `"none"`,
#'   the path of a lock file, names of installed packages, or paths of source
#'   packages (a folder or a tarball); several of these, as in
#'   `c("auto", "~/src/mypackage")`. Default `"auto"`.
#' @param packages (character or `NULL`) Names of packages that tasks would name
#'   besides. Default `NULL`.
#'
#' @returns A data frame of class `starburst_environment`, one row a package, in
#'   alphabetical order (that of the C locale), with character columns:
#'   `package`; `version`, `""` for any; `source`, one of `"repository"`,
#'   `"bioconductor"`, `"github"`, `"gitlab"`, `"local"`, `"unknown"`;
#'   `repository` (address), `remote` (`"owner/name"`), `commit`, `subdirectory`,
#'   `archive` (path of the source here, else `NA`); `dependencies` (names
#'   separated by `", "`); `reason` (why it is needed); `problem` and `remedy`,
#'   `""` for what can travel. With `"none"` it has no rows.
#'
#' @section Conditions:
#' `starburst_error_invalid_input` for an argument that is none,
#' `starburst_error_environment` for a lock file that cannot be read. A lock file
#' of another R, and packages that are used and not in it, are warnings of class
#' `starburst_warning_environment`.
#'
#' @examples
#' starburst_environment()
#' shown <- starburst_environment("future")
#' shown[, c("package", "version", "reason")]
#' @export
starburst_environment <- function(environment = "auto", packages = NULL) {
  call <- rlang::current_env()
  environment <- check_environment(environment, call)
  check_characters(packages, "packages", call)
  if (identical(environment, "none")) {
    environment <- character()
    packages <- NULL
  }
  resolved <- resolve_environment(environment, packages, NULL, call)
  needs <- resolved$needs
  needs$problem <- needs$remedy <- rep("", nrow(needs))
  unknown <- resolved$problems
  for (name in setdiff(names(needs), names(unknown))) {
    unknown[[name]] <- rep(switch(name, source = "unknown", archive = NA_character_, ""), nrow(unknown))
  }
  columns <- c(need_columns, "problem", "remedy")
  shown <- rbind(needs[columns], unknown[columns])
  shown <- shown[order(shown$package, method = "radix"), ]
  rownames(shown) <- NULL
  attr(shown, "repositories") <- attr(needs, "repositories")
  class(shown) <- c("starburst_environment", class(shown))
  shown
}

#' @export
print.starburst_environment <- function(x, ...) {
  # A part of it may lack columns, and is printed as what it is.
  if (!all(c(need_columns, "problem", "remedy") %in% names(x))) {
    return(NextMethod())
  }
  x <- as.data.frame(x)
  n <- nrow(x)
  cat(sprintf("<starburst_environment> %s package%s\n", if (n) fmt(n) else "no", if (n == 1L) "" else "s"))
  show_group <- function(title, rows, from) {
    if (nrow(rows)) {
      cat(title, "\n", sep = "")
      version <- ifelse(nzchar(rows$version), rows$version, "any version")
      names <- format(paste(rows$package, version))
      cat(paste0("  ", names, "  ", from, rows$reason, "\n"), sep = "")
    }
  }
  for (url in in_order(x$repository[x$source %in% c("repository", "bioconductor")])) {
    of_url <- x$source %in% c("repository", "bioconductor") & x$repository == url
    kind <- if (any(x$source[of_url] == "bioconductor")) "From Bioconductor, " else "From "
    show_group(paste0(kind, without_secret(url)), x[of_url, ], "")
  }
  hosts <- c(github = "GitHub", gitlab = "GitLab")
  for (source in names(hosts)) {
    rows <- x[x$source == source, ]
    from <- sprintf("%s@%s  ", rows$remote, substr(rows$commit, 1L, 7L))
    show_group(paste("From", hosts[[source]]), rows, from)
  }
  local <- x[x$source == "local", ]
  show_group("From source on this machine", local, paste0(local$archive, "  "))
  unknown <- x[x$source == "unknown", ]
  show_group("Cannot travel", unknown, paste0(unknown$problem, "; "))
  for (remedy in unique(unknown$remedy)) {
    cat(strwrap(remedy, initial = "  -> ", prefix = "     "), sep = "\n")
  }
  invisible(x)
}
