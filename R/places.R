# Where detached sessions may be: the store that was chosen, or this machine's and the buckets of the stacks.

# Each a list of `store`, `region`, `profile` and `life` (seconds an object lives); the ways to look for a session in, in this order.
session_places <- function(region, call) {
  chosen <- getOption("starburst.store", Sys.getenv("STARBURST_STORE"))
  here <- list(store = store_place(TRUE), region = region, profile = NULL)
  if (is_set(chosen)) {
    return(list(here))
  }
  stacks <- fitting_stacks(region, NULL, NULL, call)
  buckets <- lapply(stacks, function(stack) {
    list(
      store = paste0("s3://", stack$bucket),
      region = stack$region,
      profile = stack$profile,
      life = object_life(stack)
    )
  })
  c(if (length(buckets) == 0L || dir.exists(here$store)) list(here), buckets)
}

is_set <- function(x) length(x) == 1L && !is.na(x) && nzchar(x)

# The native side's view of one place, for attaching and listing.
place_config <- function(place, call) {
  config <- native_config(place_settings(place$region), detached = TRUE, call)
  config$store <- place$store
  config["profile"] <- list(place$profile)
  config
}

# Attaches to the session where it is. Returns its `handle`, and how many seconds its objects live where that is known.
attach_session <- function(session_id, region, call) {
  places <- session_places(region, call)
  for (i in seq_along(places)) {
    found <- rs_session_attach(place_config(places[[i]], call), session_id)
    elsewhere <- inherits(found, "extendr_error") && identical(found$value$kind, "not_found")
    if (!elsewhere || i == length(places)) {
      return(list(handle = unwrap_native(found, call), life = places[[i]]$life))
    }
  }
}
