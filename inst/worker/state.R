# The state of R that a task may change and the next task must not see: remembered once, compared and put back.
#
# Looking whether something changed takes microseconds, putting it back takes longer: so each part is compared first.

# Remembers the state that tasks begin with.
remember_state <- function() {
  the$options <- options()
  the$options_in_place <- NULL
  the$directory <- getwd()
  the$attached <- search()
  the$libraries <- .libPaths()
  the$variables <- Sys.getenv()
  the$locale <- Sys.getlocale()
  the$locale_by_category <- locale_by_category()
  the$umask <- Sys.umask(NA)
  the$namespaces <- loadedNamespaces()
  the$connections <- getAllConnections()
  the$callbacks <- getTaskCallbackNames()
  the$hooks <- as.list(.userHooksEnv)
  remember_methods()
}

# Puts everything back. Runs after each future and call, and between maps. Returns `FALSE` when something could not be
# put back, so that the next task needs another R.
restore_state <- function() {
  # A time limit that the task left would strike here.
  setTimeLimit()
  setSessionTimeLimit()
  loaded <- setdiff(loadedNamespaces(), the$namespaces)
  whole <- c(
    restores(restore_options(keep_new = length(loaded) > 0L)),
    restores(restore_variables(keep_new = length(loaded) > 0L)),
    restores(restore_locale()),
    restores(restore_search_path()),
    restores(restore_methods()),
    restores(restore_directories()),
    restores(restore_random()),
    restores(restore_connections(keep_new = length(loaded) > 0L)),
    restores(restore_callbacks(keep_new = length(loaded) > 0L)),
    restores(close_devices()),
    restores(remove_globals())
  )
  the$namespaces <- c(the$namespaces, loaded)
  all(whole)
}

# Whether this part of the state was put back.
restores <- function(code) {
  tryCatch(
    {
      force(code)
      TRUE
    },
    error = function(cnd) FALSE
  )
}

# Options are put back. One that is new stays only when the task loaded a package: packages set theirs once, when they are
# loaded. It is remembered as it is now.
restore_options <- function(keep_new) {
  if (identical(as.list(base::.Options), the$options_in_place)) {
    return()
  }
  now <- options()
  new <- setdiff(names(now), names(the$options))
  if (keep_new) {
    the$options[new] <- now[new]
  } else {
    options(stats::setNames(vector("list", length(new)), new))
  }
  options(the$options)
  the$options_in_place <- as.list(base::.Options)
}

# Variables of the environment: a new one stays only when the task loaded a package, which may have set it.
restore_variables <- function(keep_new) {
  now <- Sys.getenv()
  if (identical(now, the$variables)) {
    return()
  }
  new <- setdiff(names(now), names(the$variables))
  if (!keep_new) {
    Sys.unsetenv(new)
  }
  wrong <- the$variables[is.na(match(pairs_of(the$variables), pairs_of(now)))]
  if (length(wrong)) {
    do.call(Sys.setenv, as.list(wrong))
  }
  the$variables <- Sys.getenv()
}

pairs_of <- function(variables) paste0(names(variables), "=", variables)

locale_categories <- c("LC_COLLATE", "LC_CTYPE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "LC_MESSAGES")

locale_by_category <- function() {
  vapply(locale_categories, Sys.getlocale, "")
}

restore_locale <- function() {
  if (!identical(Sys.getlocale(), the$locale)) {
    for (category in locale_categories) {
      suppressWarnings(Sys.setlocale(category, the$locale_by_category[[category]]))
    }
  }
}

# Detaches what the task attached, and attaches again what it detached, in the same place.
restore_search_path <- function() {
  if (!identical(.libPaths(), the$libraries)) {
    .libPaths(the$libraries)
  }
  if (identical(search(), the$attached)) {
    return()
  }
  for (entry in setdiff(search(), the$attached)) {
    try(detach(entry, character.only = TRUE), silent = TRUE)
  }
  for (entry in rev(setdiff(the$attached, search()))) {
    package <- sub("^package:", "", entry)
    suppressPackageStartupMessages(
      library(package, character.only = TRUE, pos = match(entry, the$attached), warn.conflicts = FALSE)
    )
  }
  if (!identical(search(), the$attached)) {
    stop("the search path could not be put back")
  }
}

# Methods that a task registers for generics of R itself: S3 methods in the tables of base, stats and utils, and S4
# methods and classes, which leave a mark in the global environment.
remember_methods <- function() {
  spaces <- list(baseenv(), asNamespace("stats"), asNamespace("utils"))
  the$s3_tables <- lapply(spaces, function(space) space[[".__S3MethodsTable__."]])
  the$s3_methods <- lapply(the$s3_tables, as.list)
  invisible()
}

restore_methods <- function() {
  forget_s4()
  if (identical(lapply(the$s3_tables, as.list), the$s3_methods)) {
    return()
  }
  for (i in seq_along(the$s3_tables)) {
    restore_table(the$s3_tables[[i]], the$s3_methods[[i]])
  }
  remember_methods()
}

# A package's methods come from its namespace and stay, as the package does.
restore_table <- function(table, before) {
  for (name in Filter(function(name) is_from_task(table[[name]]), names(table))) {
    if (is.null(before[[name]])) {
      rm(list = name, envir = table)
    } else {
      assign(name, before[[name]], envir = table)
    }
  }
}

is_from_task <- function(method) {
  env <- if (is.function(method)) environment(method)
  while (is.environment(env) && !identical(env, emptyenv())) {
    if (identical(env, globalenv())) {
      return(TRUE)
    }
    if (isNamespace(env) || identical(env, baseenv())) {
      return(FALSE)
    }
    env <- parent.env(env)
  }
  FALSE
}

# Without its methods removed by name, a generic of R would go on finding them after the global environment is empty.
forget_s4 <- function() {
  marks <- grep("^[.]__[TC]__", names(globalenv()), value = TRUE)
  # A variable of the task may have such a name.
  tables <- Filter(function(mark) is.environment(globalenv()[[mark]]), grep("^[.]__T__", marks, value = TRUE))
  for (table in tables) {
    generic <- sub("^[.]__T__(.*):[^:]*$", "\\1", table)
    for (method in as.list(globalenv()[[table]])) {
      if (is_from_task(method)) {
        suppressMessages(methods::removeMethod(generic, signature = method@defined, where = globalenv()))
      }
    }
  }
  for (mark in grep("^[.]__C__", marks, value = TRUE)) {
    if (inherits(globalenv()[[mark]], "classRepresentation")) {
      suppressWarnings(methods::removeClass(sub("^[.]__C__", "", mark), where = globalenv()))
    }
  }
}

# The working directory, R's temporary directory, which the task may have deleted, and the mode of new files.
restore_directories <- function() {
  tempdir(check = TRUE)
  Sys.umask(the$umask)
  if (!identical(getwd(), the$directory)) {
    # The directory may be gone by now, which is no reason to fail.
    tryCatch(setwd(the$directory), error = function(cnd) setwd(tempdir()))
  }
}

# The kind of random numbers; the state itself is in the global environment and goes with it.
restore_random <- function() RNGkind("default", "default", "default")

# Closes the connections that the task left open, which would be used up after some hundred tasks.
restore_connections <- function(keep_new) {
  new <- setdiff(getAllConnections(), the$connections)
  if (keep_new) {
    the$connections <- c(the$connections, new)
    return()
  }
  for (number in setdiff(new, own_connections())) {
    try(close(getConnection(number)), silent = TRUE)
  }
}

# Functions that R calls later: after top-level commands, and when a package is loaded or R ends.
restore_callbacks <- function(keep_new) {
  if (keep_new) {
    the$callbacks <- getTaskCallbackNames()
    the$hooks <- as.list(.userHooksEnv)
    return()
  }
  for (name in setdiff(getTaskCallbackNames(), the$callbacks)) {
    removeTaskCallback(name)
  }
  if (!identical(as.list(.userHooksEnv), the$hooks)) {
    rm(list = names(.userHooksEnv), envir = .userHooksEnv)
    list2env(the$hooks, envir = .userHooksEnv)
  }
}

close_devices <- function() {
  if (grDevices::dev.cur() > 1L) {
    grDevices::graphics.off()
  }
}

remove_globals <- function() {
  rm(list = ls(globalenv(), all.names = TRUE, sorted = FALSE), envir = globalenv())
}

# Ends diversions of output and messages. One whose connection is closed already cannot be ended in order.
end_sinks <- function() {
  while (sink.number() > 0L) {
    try(sink(), silent = TRUE)
  }
  if (sink.number(type = "message") != 2L) {
    sink(type = "message")
  }
  the$diverted <- FALSE
}
