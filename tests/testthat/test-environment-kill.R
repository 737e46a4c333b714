# Workers are killed while they install: what another finds is whole or not there.

test_that("a worker killed while it installs leaves no half environment, and another completes it", {
  local_store()
  host <- local_hosts()
  withr::local_options(starburst.lease = 3)
  # The moments of the kills: so many packages are there. Before the first, in the middle, and while all are loaded.
  for (there in c(0, sample(1:4, 1), 6)) {
    session <- session_with(needs_of("sbtop", list(sbtext = "1.0")), workers = 2)
    id <- session$submit(says("sbtop"), globals = list(says = says))
    session$flush()
    wait_for(function() length(installing(host)) > 0L && length(installed_so_far(host)) >= there, 120)
    killed <- installing(host)
    tools::pskill(killed, tools::SIGKILL)
    result <- suppressMessages(session$collect(id, wait = TRUE, timeout = 240))
    expect_equal(unname(result[[1]]), "sbtop 1.0")
    expect_length(killed, 1L)
    expect_length(whole_packages(host), 6L)
    expect_true(all(file.exists(whole_packages(host))))
    session$cleanup(force = TRUE)
    forget_quietly()
    unlink(host_folder(host), recursive = TRUE)
  }
})
