//! Taking away what nobody uses any more, and nothing else.
use super::{Said, Tell};
use crate::{
    account::Account,
    call::CallError,
    cluster::{self, RunningTask},
    definitions::{self, Definition},
    ecr::{self, Image, ImageName},
};
use starburst_core::clock::UnixMillis;
use std::{collections::HashSet, time::Duration};

/// A task this young is left alone whatever it is: its session may not be listed yet.
const YOUNG: Duration = Duration::from_secs(600);

/// What is in use, as the caller knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// The stack's cluster.
    pub cluster: String,
    /// The stack's execution role, which tells its task definitions.
    pub execution_role: String,
    /// The ids of the sessions that live, listed before this call.
    pub live: Vec<String>,
    /// Task definitions younger than this are left alone.
    pub older_than: Duration,
    /// Whether only to look.
    pub look_only: bool,
}

/// What was taken away, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanedUp {
    /// Ids of tasks without a session that lives.
    pub tasks: Vec<String>,
    /// ARNs of task definitions that nothing uses.
    pub definitions: Vec<String>,
}

/// Stops tasks whose session has ended, and deletes task definitions that no task uses.
///
/// # Errors
/// [`CallError`].
pub async fn clean_up(
    account: &Account,
    cleanup: &Cleanup,
    tell: Tell<'_>,
) -> Result<CleanedUp, CallError> {
    let now = account.clock.wall();
    let tasks = cluster::tasks(account, &cleanup.cluster).await?;
    let live: HashSet<&str> = cleanup.live.iter().map(String::as_str).collect();
    let left: Vec<String> = tasks
        .iter()
        .filter(|task| is_left_over(task, &live, now))
        .map(|task| task.id.clone())
        .collect();
    let used: HashSet<&str> = tasks.iter().map(|task| task.definition.as_str()).collect();
    let found = definitions::of_role(account, &cleanup.execution_role).await?;
    let unused: Vec<Definition> = found
        .into_iter()
        .filter(|definition| is_unused(definition, &used, now, cleanup.older_than))
        .collect();
    if !cleanup.look_only {
        if !left.is_empty() {
            tell(Said::Step(format!("stopping {} tasks", left.len())));
            cluster::stop(account, &cleanup.cluster, &left, "starburst_cleanup()").await?;
        }
        if !unused.is_empty() {
            tell(Said::Step(format!("removing {} task definitions", unused.len())));
            definitions::remove(account, &unused).await?;
        }
    }
    let definitions = unused.into_iter().map(|definition| definition.arn).collect();
    Ok(CleanedUp { tasks: left, definitions })
}

/// Only a task of ours, that says which session it is of, and whose session does not live.
fn is_left_over(task: &RunningTask, live: &HashSet<&str>, now: UnixMillis) -> bool {
    let ours = task.family.starts_with("starburst-");
    let old = task.since.is_some_and(|since| now.since(since) > YOUNG);
    ours && old && task.started_by.as_deref().is_some_and(|session| !live.contains(session))
}

fn is_unused(
    definition: &Definition,
    used: &HashSet<&str>,
    now: UnixMillis,
    older_than: Duration,
) -> bool {
    let old = definition.since.is_none_or(|since| now.since(since) > older_than);
    old && !used.contains(definition.arn.as_str())
}

/// Deletes all but the newest images of a repository, and returns those that went, or would go.
///
/// # Errors
/// [`CallError`].
pub async fn clean_images(
    account: &Account,
    repository: &str,
    keep: usize,
    look_only: bool,
) -> Result<Vec<Image>, CallError> {
    let old = all_but_newest(ecr::images(account, repository).await?, keep);
    if look_only || old.is_empty() {
        return Ok(old);
    }
    let names: Vec<ImageName> =
        old.iter().map(|image| ImageName::Digest(image.digest.clone())).collect();
    let left = ecr::delete_images(account, repository, &names).await?;
    let stays = |image: &Image| left.iter().any(|(name, _)| *name == image.digest);
    Ok(old.into_iter().filter(|image| !stays(image)).collect())
}

fn all_but_newest(mut images: Vec<Image>, keep: usize) -> Vec<Image> {
    let pushed = |image: &Image| image.pushed_s.unwrap_or_default();
    images.sort_by(|a, b| pushed(b).total_cmp(&pushed(a)));
    images.split_off(keep.min(images.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10_000_000_000);

    fn task(family: &str, session: Option<&str>, age_s: u64) -> RunningTask {
        RunningTask {
            id: "1".into(),
            started_by: session.map(Into::into),
            family: family.into(),
            definition: format!("{family}:1"),
            vcpus: 1.0,
            provider: None,
            launch_type: None,
            since: Some(UnixMillis(NOW.0 - age_s * 1_000)),
        }
    }

    #[test]
    fn only_old_tasks_of_ours_whose_session_is_over_are_left_over() {
        let live = HashSet::from(["alive"]);
        let left = |task: RunningTask| is_left_over(&task, &live, NOW);
        assert!(left(task("starburst-a", Some("dead"), 3_600)));
        assert!(!left(task("starburst-a", Some("alive"), 3_600)));
        assert!(!left(task("starburst-a", Some("dead"), 60)));
        assert!(!left(task("web", Some("dead"), 3_600)));
        assert!(!left(task("starburst-a", None, 3_600)));
    }

    #[test]
    fn a_definition_that_is_used_or_new_stays() {
        let used = HashSet::from(["starburst-a:1"]);
        let unused = |arn: &str, age_s: u64| {
            let since = Some(UnixMillis(NOW.0 - age_s * 1_000));
            let definition = Definition { arn: arn.into(), active: true, since };
            is_unused(&definition, &used, NOW, Duration::from_secs(100))
        };
        assert!(unused("starburst-a:2", 200));
        assert!(!unused("starburst-a:1", 200));
        assert!(!unused("starburst-a:2", 50));
    }

    #[test]
    fn the_newest_images_are_kept() {
        let image = |digest: &str, at: f64| Image {
            digest: digest.into(),
            tags: vec![],
            bytes: 1,
            pushed_s: Some(at),
            pulled_s: None,
        };
        let images = vec![image("b", 2.0), image("c", 3.0), image("a", 1.0)];
        let gone: Vec<_> =
            all_but_newest(images.clone(), 1).into_iter().map(|i| i.digest).collect();
        assert_eq!(gone, ["b", "a"]);
        assert!(all_but_newest(images, 5).is_empty());
    }
}
