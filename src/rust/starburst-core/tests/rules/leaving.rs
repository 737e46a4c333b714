//! When workers leave by themselves: the session's time is over, or its owner is gone.
use super::bench::{Actor, Bench, config, guards, seconds};
use starburst_core::{client::SessionConfig, manifest::Lifetime, mutation::Rule};

#[test]
fn workers_leave_when_the_time_of_the_session_is_over() {
    guards(Rule::Deadline, async || {
        let bench = Bench::new();
        let client =
            bench.create(SessionConfig { absolute_timeout: seconds(500), ..config() }).await;
        let mut worker = bench.hire(client.session(), Actor::echo(seconds(1)));
        bench.sleep(seconds(490)).await;
        assert!(!worker.work.is_finished());
        bench.until(seconds(200), async || worker.work.is_finished()).await;
        worker.work.is_finished()
            && (&mut worker.work).await.unwrap().unwrap().contains("time limit")
    });
}

#[test]
fn workers_leave_when_the_owner_of_their_session_is_gone() {
    guards(Rule::OwnerGone, async || {
        let bench = Bench::new();
        let owned = SessionConfig { lifetime: Lifetime::Owned, ..config() };
        let client = bench.create(owned).await;
        let worker = bench.hire(client.session(), Actor::echo(seconds(1)));
        bench.sleep(seconds(300)).await;
        assert!(!worker.work.is_finished());
        client.stop();
        bench.until(seconds(200), async || worker.work.is_finished()).await
    });
}
