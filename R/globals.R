# What travels with an expression: its globals and packages, found by the future framework.

gather <- function(expr, envir, globals, packages, call) {
  check_globals(globals, call)
  check_characters(packages, "packages", call)
  # future before 1.68 has a limit of 500 MB of its own; large data is no trouble here.
  most <- getOption("future.globals.maxSize", Inf)
  found <- future::getGlobalsAndPackages(expr, envir = envir, globals = globals, maxSize = most)
  list(
    expr = found$expr,
    # Without the attribute that names the frames they were found in, which would travel too.
    globals = strip(found$globals),
    packages = unique(c(packages, found$packages))
  )
}

strip <- function(globals) {
  plain <- lapply(seq_along(globals), function(i) globals[[i]])
  names(plain) <- names(globals)
  plain
}

check_globals <- function(globals, call) {
  ok <- (is.logical(globals) && length(globals) == 1L && !is.na(globals)) ||
    is.character(globals) ||
    (is.list(globals) && !is.null(names(globals)))
  if (!ok) {
    abort_input("globals", describe(globals), "TRUE, FALSE, names, or a named list", call)
  }
}

# The function of a map with what it needs. Shared by all elements, so it travels once.
gather_function <- function(fun, args, envir, globals, packages, call) {
  here <- new.env(parent = envir)
  assign(".starburst_fun", fun, envir = here)
  assign(".starburst_args", args, envir = here)
  expr <- quote(do.call(.starburst_fun, .starburst_args))
  if (is.character(globals)) {
    globals <- c(globals, ".starburst_fun", ".starburst_args")
  } else if (is.list(globals)) {
    globals <- c(globals, list(.starburst_fun = fun, .starburst_args = args))
  } else if (isFALSE(globals)) {
    globals <- list(.starburst_fun = fun, .starburst_args = args)
  }
  found <- gather(expr, here, globals, packages, call)
  own <- names(found$globals) %in% c(".starburst_fun", ".starburst_args")
  carried <- vapply(names(found$globals), travels_with, NA, fun = fun)
  list(fun = fun, args = args, globals = found$globals[!own & !carried], packages = found$packages)
}

# Whether the function's own frames, which are serialized with it, hold this variable.
travels_with <- function(name, fun) {
  env <- environment(fun)
  while (!is.null(env) && !identical(env, globalenv()) && !identical(env, emptyenv()) && !isNamespace(env)) {
    if (exists(name, envir = env, inherits = FALSE)) {
      return(TRUE)
    }
    env <- parent.env(env)
  }
  FALSE
}

as_function <- function(.f, call) {
  .f <- given(.f, ".f", call)
  tryCatch(rlang::as_function(.f), error = function(cnd) {
    abort_input(".f", describe(.f), "a function, the name of one, or a formula such as ~ .x + 1", call)
  })
}

# An expression as the user meant it: written in place, or a language object by name or by quote().
capture_expression <- function(written, envir, call) {
  if (identical(written, quote(expr = ))) {
    abort_missing("expr", call)
  }
  if (is.call(written) && !evaluates_to_language(written, envir)) {
    return(written)
  }
  value <- if (is.call(written) || is.name(written)) {
    given(rlang::eval_bare(written, envir), "expr", call)
  } else {
    written
  }
  if (is.expression(value) && length(value) == 1L) {
    value <- value[[1]]
  }
  # quote("a") is a constant, and was meant.
  if (is.call(written) && (is.null(value) || is.atomic(value) && length(value) == 1L)) {
    return(value)
  }
  if (!is.call(value) && !is.name(value)) {
    allowed <- "an expression: quote(...), a call written in place, or a variable that holds one"
    abort_input("expr", describe(value), allowed, call)
  }
  value
}

makes_language <- c(
  "quote",
  "bquote",
  "substitute",
  "expression",
  "as.call",
  "call",
  "as.name",
  "as.symbol",
  "str2lang",
  "expr"
)
takes_out <- c("[[", "$", "@", "get")

evaluates_to_language <- function(written, envir) {
  head <- written[[1]]
  if (is.call(head) && identical(head[[1]], quote(`::`))) {
    head <- head[[3]]
  }
  if (!is.name(head)) {
    return(FALSE)
  }
  name <- as.character(head)
  if (name %in% makes_language) {
    return(TRUE)
  }
  name %in% takes_out && is.language(tryCatch(eval(written, envir), error = function(cnd) NULL))
}
