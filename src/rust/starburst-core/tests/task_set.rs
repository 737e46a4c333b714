//! How many of some tasks have not ended, and how many have from one on: the same as asking for each, at any time and for any of them.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{Lab, completed, on_ecs, seconds, submit};
use starburst_core::{
    client::{Client, Known, TaskSet},
    error::Error,
    ids::TaskId,
};

fn set(ids: &[TaskId]) -> TaskSet {
    let mut set = TaskSet::default();
    ids.iter().for_each(|id| set.push(id));
    set
}

fn one_by_one(client: &Client, ids: &[TaskId]) -> u64 {
    let open = |id: &&TaskId| matches!(client.known(id), Ok(Known::Pending | Known::Claimed));
    ids.iter().filter(open).count() as u64
}

fn ended_before_an_open_one(client: &Client, ids: &[TaskId]) -> u64 {
    let open = |id: &TaskId| matches!(client.known(id), Ok(Known::Pending | Known::Claimed));
    ids.iter().position(open).unwrap_or(ids.len()) as u64
}

#[tokio::test(start_paused = true)]
async fn a_set_is_counted_as_its_tasks_are() {
    let lab = Lab::new(seconds(20));
    let mine = lab.create(on_ecs(8)).await;
    let ids = submit(&mine, 100);
    mine.flush().await.unwrap();
    let other = lab.attach("b", &mine).await;
    let theirs = submit(&other, 100);
    let mut mixed: Vec<TaskId> = ids.iter().chain(&theirs).cloned().collect();
    mixed.sort_by_key(|id| (id.seq * 37) % 101);
    let (few, every_third) = (&ids[7..61], ids.iter().step_by(3).cloned().collect::<Vec<_>>());
    let mut seen = std::collections::BTreeSet::new();
    lab.until(seconds(5_000), || {
        for asked in [&ids[..], few, &every_third] {
            let open = mine.open_among(&set(asked)).unwrap();
            assert_eq!(open, one_by_one(&mine, asked));
            seen.insert(open);
            let ended = |from, most| mine.ended_from(&set(asked), from, most).unwrap();
            assert_eq!(ended(0, 1_000), ended_before_an_open_one(&mine, asked));
            assert_eq!(ended(10, 1_000), ended_before_an_open_one(&mine, &asked[10..]));
            assert_eq!(ended(10, 4), ended_before_an_open_one(&mine, &asked[10..14]));
        }
        // What the other has not seen of ours yet, it does not know.
        if let Ok(open) = other.open_among(&set(&mixed)) {
            assert_eq!(open, one_by_one(&other, &mixed));
        }
        completed(&mine) == 200
    })
    .await;
    assert!(seen.len() > 20, "{seen:?}");
    assert_eq!(other.open_among(&set(&mixed)).unwrap(), 0);
    // Not written yet, and counted; behind the last, and refused.
    let more = submit(&mine, 5);
    let last: Vec<TaskId> = ids.iter().chain(&more).cloned().collect();
    assert_eq!(mine.open_among(&set(&last)).unwrap(), 5);
    assert_eq!(mine.ended_from(&set(&last), 98, 1_000).unwrap(), 2);
    assert_eq!(mine.ended_from(&set(&last), 1_000, 1_000).unwrap(), 0);
    let mut behind = more[4].clone();
    behind.seq += 1;
    let refused = mine.open_among(&set(&[more[4].clone(), behind.clone()]));
    assert!(matches!(refused, Err(Error::NoTask { task }) if task == behind.to_string()));
}
