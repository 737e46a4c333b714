# Says why a package could not be installed, and which system library is missing if that is why.

# What a log shows, by the package of Debian and Ubuntu that helps: libraries by the names that linkers, compilers,
# pkg-config and configure scripts use for them.
system_packages <- c(
  "libcurl4-openssl-dev" = "libcurl|\\bcurl/|-lcurl",
  "libssl-dev" = "openssl|-lssl|-lcrypto",
  "libxml2-dev" = "libxml-?2|libxml/|-lxml2",
  "libgdal-dev" = "gdal",
  "libgeos-dev" = "geos",
  "libproj-dev" = "proj[_.]|proj/|-lproj|libproj|\\bPROJ\\b",
  "libudunits2-dev" = "udunits",
  "libgsl-dev" = "gsl[-/]|-lgsl|\\bGSL\\b",
  "libfftw3-dev" = "fftw",
  "libhdf5-dev" = "hdf5",
  "libglpk-dev" = "glpk",
  "libv8-dev" = "\\bv8\\b|\\bV8\\b",
  "libpoppler-cpp-dev" = "poppler",
  "libmagick++-dev" = "magick",
  "libsodium-dev" = "sodium",
  "libharfbuzz-dev libfribidi-dev" = "harfbuzz|fribidi",
  "libfontconfig1-dev" = "fontconfig",
  "libfreetype6-dev" = "freetype|ft2build[.]h",
  "libpng-dev" = "libpng|png[.]h|-lpng",
  "libjpeg-dev" = "libjpeg|jpeglib[.]h|-ljpeg",
  "libtiff-dev" = "tiff",
  "libcairo2-dev" = "cairo",
  "libgit2-dev" = "git2",
  "libssh2-1-dev" = "ssh2",
  "libpq-dev" = "libpq|-lpq|postgres",
  "libmariadb-dev" = "mysql|mariadb",
  "unixodbc-dev" = "odbc|sql[.]h",
  "zlib1g-dev" = "zlib|-lz\\b",
  "libicu-dev" = "unicode/|icu",
  "cmake" = "cmake",
  "gfortran" = "gfortran|-lgfortran",
  "default-jdk" = "\\bjava\\b|jni[.]h",
  "pkg-config" = "pkg-config"
)

# How logs say that something of the system is missing.
missing_signs <- c(
  "cannot find -l",
  "fatal error: .*: No such file or directory",
  "No package '.*' found",
  "package .* was not found",
  "configure: error",
  "[:] (command )?not found",
  "not found in the pkg-config search path",
  "unable to load shared object",
  "cannot open shared object file",
  "Configuration failed"
)

# The lines of a log that say so.
missing_lines <- function(log) {
  grep(paste(missing_signs, collapse = "|"), log, value = TRUE)
}

# What to install for them; character() if nobody knows.
system_package <- function(lines) {
  for (line in lines) {
    for (name in names(system_packages)) {
      if (grepl(system_packages[[name]], line, perl = TRUE)) {
        return(name)
      }
    }
  }
  character()
}

# The failure of one package in words, with the last lines of its log.
failed_words <- function(package, log, what = "cannot be installed on workers") {
  log <- log[nzchar(trimws(log))]
  lines <- missing_lines(log)
  help <- system_package(lines)
  hint <- if (length(help) > 0L) {
    sprintf(
      "a system library is missing: install %s (the name on Debian and Ubuntu) in the image of the workers",
      help[[1]]
    )
  } else if (length(lines) > 0L) {
    sprintf("something of the system is missing: %s", substr(trimws(lines[[1]]), 1L, 400L))
  }
  # A line of a compiler can be very long.
  last <- substr(utils::tail(log, 15L), 1L, 400L)
  c(
    paste0("package `", package, "` ", what, if (!is.null(hint)) paste0("; ", hint)),
    "the last lines of its log:",
    last
  )
}
