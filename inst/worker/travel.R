# What this R takes over from the client's R: options and locale. Environment variables are there already.

# Returns what could not be taken over, in words.
take_over <- function(file) {
  if (!file.exists(file) || file.size(file) == 0) {
    return(character())
  }
  state <- unserialize(readBin(file, "raw", file.size(file)))
  options(state$options)
  missing <- character()
  for (category in names(state$locale)) {
    wanted <- state$locale[[category]]
    if (identical(Sys.getlocale(category), wanted)) {
      next
    }
    if (!nzchar(suppressWarnings(Sys.setlocale(category, wanted)))) {
      missing[[category]] <- wanted
    }
  }
  # Any locale in UTF-8 reads and writes the same characters.
  lost <- missing[
    !(names(missing) == "LC_CTYPE" & grepl("utf-?8$", missing, ignore.case = TRUE) & l10n_info()[["UTF-8"]])
  ]
  if (length(lost) == 0L) {
    return(character())
  }
  sprintf(
    "workers do not have the locale %s, so they use %s: text may be sorted, or dates written, in another way than here",
    paste0(names(lost), "=", lost, collapse = ", "),
    paste(unique(vapply(names(lost), Sys.getlocale, "")), collapse = ", ")
  )
}
