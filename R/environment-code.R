# Packages that code names: `pkg::name`, `pkg:::name`, and `library(pkg)` or the like with the name written in place.

loads_package <- c("library", "require", "requireNamespace", "loadNamespace", "attachNamespace")

# `code` may be a language object, a function, or a list of such, and more lists in it.
packages_in <- function(code) {
  found <- new.env(parent = emptyenv())
  visit(code, found, depth = 0L)
  in_order(ls(found, all.names = TRUE))
}

# Lists are data more often than they hold functions: neither deep nor long ones are looked through.
deepest_list <- 3L
longest_list <- 1000L

visit <- function(x, found, depth) {
  if (is.function(x)) {
    if (!is.primitive(x) && !in_package(x)) {
      visit_code(formals(x), found)
      visit_code(body(x), found)
    }
  } else if (is.language(x)) {
    visit_code(x, found)
  } else if (is.list(x) && !is.data.frame(x) && depth < deepest_list && length(x) <= longest_list) {
    for (i in seq_along(x)) {
      visit(.subset2(x, i), found, depth + 1L)
    }
  }
}

# A package's own functions do not travel; the package does.
in_package <- function(fun) isNamespace(environment(fun) %||% emptyenv())

visit_code <- function(code, found) {
  if (is.call(code)) {
    package <- named_package(code)
    if (!is.null(package)) {
      assign(package, TRUE, envir = found)
    }
  }
  if (is.call(code) || is.expression(code) || is.pairlist(code)) {
    # Not kept in a variable: an empty argument, as in x[1, ], cannot be looked at again.
    for (i in seq_along(code)) {
      if (is.call(code[[i]]) || is.pairlist(code[[i]])) {
        visit_code(code[[i]], found)
      } else if (is.function(code[[i]])) {
        visit(code[[i]], found, 0L)
      }
    }
  }
}

named_package <- function(call) {
  head <- call[[1L]]
  if (!is.name(head) || length(call) < 2L) {
    return(NULL)
  }
  name <- as.character(head)
  named <- if (name %in% c("::", ":::")) {
    call[[2L]]
  } else if (name %in% loads_package && !isTRUE(call[["character.only"]])) {
    call[["package"]] %||% call[[2L]]
  }
  # `library(x)` names a package, `loadNamespace(x)` a variable.
  by_name <- name %in% c("::", ":::", "library", "require")
  if (is.character(named) && length(named) == 1L || by_name && is.name(named)) {
    package <- as.character(named)
    if (nzchar(package)) package
  }
}
