//! Of all workers that miss an environment one installs it, whatever happens to it, and the others get the same.
#![allow(clippy::panic, clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{
    Lab,
    host::{EACH, FakeHost, World},
    on_ecs, seconds,
};
use starburst_core::{
    client::SessionConfig,
    clock::Clock,
    environment::{Need, Needs, Source, lease, look, prepare::Preparation, publish::publish},
    error::Error,
    held::{Ground, Sightings},
    ids::{EnvironmentId, PlatformId, WorkerId},
    key::EnvironmentKeys,
    pace::Pace,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(90);

fn need(package: &str, version: &str) -> Need {
    Need {
        package: package.into(),
        version: version.into(),
        source: Source::Repository,
        repository: "https://cran.example".into(),
        remote: String::new(),
        commit: String::new(),
        subdirectory: String::new(),
        archive: None,
        dependencies: Vec::new(),
    }
}

fn needs(packages: &[(&str, &str)]) -> Needs {
    Needs::new(packages.iter().map(|(p, v)| need(p, v)).collect(), Vec::new()).unwrap()
}

fn platform() -> PlatformId {
    PlatformId::of_words("r4.2-x86_64-pc-linux-gnu-debian-12")
}

/// A store, a time and some hosts.
struct Town {
    lab: Lab,
    world: Arc<World>,
}

type Made = Result<PathBuf, Error>;

impl Town {
    fn new() -> Self {
        Self { lab: Lab::new(seconds(1)), world: Arc::default() }
    }

    async fn publish(&self, needs: &Needs) -> EnvironmentId {
        let none = |_: &_| panic!("no package is local");
        publish(&*self.lab.store, &*self.lab.clock, needs, none).await.unwrap()
    }

    /// A worker on a host of its own that makes the environment ready.
    fn worker(&self, name: &str, environment: &EnvironmentId) -> JoinHandle<Made> {
        let (store, clock) = (Arc::clone(&self.lab.store), self.lab.clock.clone());
        let (ids, keys) = (Arc::clone(&self.lab.ids), EnvironmentKeys::new(environment.clone()));
        let (me, mut host) = (WorkerId::parse(name).unwrap(), FakeHost::new(&clock, &self.world));
        tokio::spawn(async move {
            let pace = Pace::remote();
            let host = &mut host;
            Preparation { store, clock, ids, keys, platform: platform(), me, pace, host }
                .run()
                .await
        })
    }

    fn installs(&self) -> Vec<Vec<String>> {
        self.world.installs.lock().clone()
    }

    /// The workers' `Made`, all of them well.
    async fn all_well(&self, workers: Vec<JoinHandle<Made>>) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for worker in workers {
            folders.push(worker.await.unwrap().unwrap());
        }
        folders
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_many_installs_and_the_others_wait_and_get_the_same() {
    let town = Town::new();
    let id = town.publish(&needs(&[("a", "1"), ("b", "1"), ("c", "1")])).await;
    let workers = (0..8).map(|n| town.worker(&format!("w{n}"), &id)).collect();
    let folders = town.all_well(workers).await;
    assert_eq!(town.installs(), [["a", "b", "c"]]);
    assert!(folders.iter().all(|folder| *folder == folders[0]));
    // Whoever comes later finds it.
    town.all_well(vec![town.worker("late", &id)]).await;
    assert_eq!(town.installs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_moment_is_followed_by_another_and_leaves_no_half_environment() {
    for seed in 0..40 {
        let town = Town::new();
        let id = town.publish(&needs(&[("a", "1"), ("b", "1")])).await;
        let (first, second) = (town.worker("first", &id), town.worker("second", &id));
        // Installing takes 40 s, storing 15 s.
        town.lab.clock.sleep(Duration::from_millis(1 + seed * 1_437)).await;
        first.abort();
        let died = town.lab.clock.now();
        town.all_well(vec![second]).await;
        let took = town.lab.clock.now().since(died);
        let most = LEASE + Pace::remote().patrol * 3 + EACH * 2 + seconds(15);
        assert!(took <= most, "seed {seed}: {took:?}");
        assert!(town.installs().len() <= 2, "seed {seed}");
        // The fake host compares what it unpacks with what the library says.
        town.all_well(vec![town.worker("late", &id)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_shows_that_it_lives_is_not_followed_however_long_it_takes() {
    let town = Town::new();
    let many: Vec<(String, &str)> = (0..60).map(|n| (format!("p{n:02}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    let id = town.publish(&needs(&many)).await;
    let workers = (0..3).map(|n| town.worker(&format!("w{n}"), &id)).collect();
    let begun = town.lab.clock.now();
    town.all_well(workers).await;
    assert!(town.lab.clock.now().since(begun) > LEASE * 10);
    assert_eq!(town.installs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_hands_over_at_once() {
    let town = Town::new();
    let id = town.publish(&needs(&[("a", "1"), ("b", "1")])).await;
    let keys = EnvironmentKeys::new(id.clone());
    let (me, other) = (WorkerId::parse("me").unwrap(), WorkerId::parse("other").unwrap());
    let key = keys.lease(&platform());
    let (store, clock, ids) = (&*town.lab.store, &*town.lab.clock, &*town.lab.ids);
    let on = Ground { store, key, clock, ids, lease: LEASE };
    let (mut mine, mut others) = (Sightings::default(), Sightings::default());
    assert!(lease::ask(&mut mine, &on, &me).await.unwrap());
    assert!(!lease::ask(&mut others, &on, &other).await.unwrap());
    lease::lay_down(&on, &me).await;
    assert!(lease::ask(&mut others, &on, &other).await.unwrap());
    // What is no longer its own is not renewed, and not laid down.
    assert!(!lease::renew(&on, &me, &Default::default()).await.unwrap());
    lease::lay_down(&on, &me).await;
    assert!(lease::renew(&on, &other, &Default::default()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_its_lease_stops_and_takes_what_the_other_made() {
    let town = Town::new();
    let id = town.publish(&needs(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")])).await;
    let first = town.worker("first", &id);
    town.lab.clock.sleep(seconds(10)).await;
    // As if it had stood still: another holds the lease when it looks again.
    let key = EnvironmentKeys::new(id.clone()).lease(&platform());
    town.lab.store.delete(&key).await.unwrap();
    let second = town.worker("second", &id);
    let folders = town.all_well(vec![first, second]).await;
    assert_eq!(folders[0], folders[1]);
    assert_eq!(town.installs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_and_remembered_until_it_is_forgotten_or_something_changes() {
    let town = Town::new();
    let wanted = needs(&[("a", "1"), ("bad", "1")]);
    let id = town.publish(&wanted).await;
    town.world.broken.lock().push("bad".into());
    for name in ["w1", "w2", "w3"] {
        let error = town.worker(name, &id).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("`bad` cannot be installed"), "{error}");
    }
    assert_eq!(town.installs().len(), 1);
    town.world.broken.lock().clear();
    // The same needs are no change; another address is.
    town.publish(&wanted).await;
    town.worker("w4", &id).await.unwrap().unwrap_err();
    let mut elsewhere = wanted.clone();
    elsewhere.packages[1].repository = "https://other.example".into();
    assert_eq!(town.publish(&elsewhere).await, id);
    town.all_well(vec![town.worker("w5", &id)]).await;

    let keys = EnvironmentKeys::new(id.clone());
    assert!(look::forget(&*town.lab.store, &keys).await.unwrap());
    town.all_well(vec![town.worker("w6", &id)]).await;
    assert_eq!(town.installs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_package_alone_is_installed() {
    let town = Town::new();
    let before = town.publish(&needs(&[("a", "1"), ("b", "1"), ("c", "1")])).await;
    let after = town.publish(&needs(&[("a", "1"), ("b", "2"), ("c", "1")])).await;
    assert_ne!(before, after);
    town.all_well(vec![town.worker("w1", &before)]).await;
    town.all_well(vec![town.worker("w2", &after)]).await;
    assert_eq!(town.installs(), [vec!["a", "b", "c"], vec!["b"]]);
    let keys = EnvironmentKeys::new(after);
    let library = look::library(&*town.lab.store, &keys, &platform()).await.unwrap().unwrap();
    assert_eq!(library.fresh, 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_on_top_of_another_is_installed_from_nothing() {
    let town = Town::new();
    let before = town.publish(&needs(&[("a", "1"), ("b", "1")])).await;
    let after = town.publish(&needs(&[("a", "1"), ("b", "2")])).await;
    town.all_well(vec![town.worker("w1", &before)]).await;
    town.world.unfit.lock().push("b".into());
    town.all_well(vec![town.worker("w2", &after)]).await;
    assert_eq!(town.installs(), [vec!["a", "b"], vec!["b"], vec!["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn a_library_that_lost_a_part_is_installed_anew() {
    let town = Town::new();
    let id = town.publish(&needs(&[("a", "1")])).await;
    town.all_well(vec![town.worker("w1", &id)]).await;
    let keys = EnvironmentKeys::new(id.clone());
    let library = look::library(&*town.lab.store, &keys, &platform()).await.unwrap().unwrap();
    town.lab.store.delete(&keys.part(&platform(), &library.build, 1)).await.unwrap();
    town.all_well(vec![town.worker("w2", &id)]).await;
    assert_eq!(town.installs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_how_far_it_is_and_is_told_once_what_is_different() {
    let town = Town::new();
    let id = town.publish(&needs(&[("a", "1"), ("b", "1.5"), ("c", "1")])).await;
    town.world.versions.lock().insert("b".into(), "1.6".into());
    let client =
        town.lab.create(SessionConfig { environment: Some(id.clone()), ..on_ecs(1) }).await;
    client.look_at_environment().await.unwrap();
    assert_eq!(client.environment_progress(), None);
    let worker = town.worker("w1", &id);
    town.lab.clock.sleep(EACH + seconds(16)).await;
    client.look_at_environment().await.unwrap();
    let now = client.environment_progress().unwrap();
    assert_eq!((now.doing.as_str(), now.done, now.total), ("Installing", 1, 3));
    assert_eq!(now.package, "b");
    worker.await.unwrap().unwrap();
    client.look_at_environment().await.unwrap();
    assert_eq!(client.environment_progress(), None);
    let warnings = client.take_environment_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("`b` is 1.6 on workers and 1.5 here"));
    assert!(client.take_environment_warnings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_used_is_noted_and_what_is_deleted_is_gone() {
    let town = Town::new();
    let wanted = needs(&[("a", "1")]);
    let id = town.publish(&wanted).await;
    let (store, clock) = (&*town.lab.store, &*town.lab.clock);
    let noted = look::uses(store).await.unwrap();
    assert_eq!(noted, [(id.clone(), clock.wall())]);
    clock.sleep(seconds(7_200)).await;
    town.publish(&wanted).await;
    assert_eq!(look::uses(store).await.unwrap(), [(id.clone(), clock.wall())]);
    town.all_well(vec![town.worker("w1", &id)]).await;
    let keys = EnvironmentKeys::new(id.clone());
    look::delete(store, &keys).await.unwrap();
    assert!(store.list(&keys.all(), None).await.unwrap().is_empty());
    let error = town.worker("w2", &id).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("was deleted"), "{error}");
}
