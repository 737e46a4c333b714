//! Taking everything away, in the order in which each thing lets go of the next.
//!
//! 1. Tasks are stopped, and waited for.
//! 2. Stacks of EC2 instances go, once their capacity providers are out of the cluster.
//! 3. The bucket is emptied.
//! 4. Images and task definitions are deleted.
//! 5. The stack goes.
//!
//! Each step takes what is gone as done, so the same call again goes on where one broke off.
use super::{Said, Tell, instances, line};
use crate::{
    account::Account,
    bucket::{self, Contents},
    call::{CallError, Meaning},
    cluster, definitions, ecr,
    ecr::ImageName,
    stack::{self, Stack, StackError},
};

/// What goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    /// Whether the stack itself is there.
    pub stack: bool,
    /// Its bucket, as long as it is there.
    pub bucket: Option<String>,
    /// What is in the bucket.
    pub contents: Contents,
    /// Tasks that run or wait to.
    pub tasks: usize,
    /// Images in the repository.
    pub images: usize,
    /// Stacks of EC2 instances.
    pub instances: Vec<String>,
}

/// What went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TornDown {
    /// Tasks that were stopped.
    pub tasks: usize,
    /// Objects and versions of objects that were deleted.
    pub objects: usize,
    /// Images that were deleted.
    pub images: usize,
    /// Task definitions that were deleted.
    pub definitions: usize,
    /// Stacks that were deleted.
    pub stacks: usize,
}

/// An output; those of a stack that could not be deleted in full are still told.
fn output<'a>(stack: &'a Stack, name: &str) -> Option<&'a str> {
    stack.outputs.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The repository's name of its address.
fn repository(uri: &str) -> &str {
    uri.split_once('/').map_or(uri, |(_, name)| name)
}

/// The stacks of EC2 instances that belong to a stack: those whose providers are in its cluster, those that `known` names,
/// and those that a listing shows, if one is allowed.
async fn instance_stacks(
    account: &Account,
    name: &str,
    cluster: Option<&str>,
    known: &[String],
) -> Result<Vec<String>, CallError> {
    let prefix = instances::prefix(name);
    let mut names = known.to_vec();
    if let Some(cluster) = cluster
        && let Some(state) = cluster::state(account, cluster).await?
    {
        names.extend(state.providers);
    }
    match stack::beginning_with(account, &prefix).await {
        Ok(stacks) => names.extend(stacks.into_iter().map(|stack| stack.name)),
        Err(error) if error.meaning() == Meaning::Denied => {}
        Err(error) => return Err(error),
    }
    names.retain(|name| name.starts_with(&prefix));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Looks at what there is to take away.
///
/// # Errors
/// [`CallError`].
pub async fn inventory(
    account: &Account,
    name: &str,
    known: &[String],
) -> Result<Inventory, CallError> {
    let stack = stack::find(account, name).await?;
    let get = |output_name: &str| stack.as_ref().and_then(|stack| output(stack, output_name));
    let (cluster, bucket) = (get("Cluster"), get("Bucket"));
    let contents = match bucket {
        Some(bucket) => bucket::contents(account, bucket).await?,
        None => Contents::default(),
    };
    let tasks = match cluster {
        Some(cluster) => cluster::tasks(account, cluster).await?.len(),
        None => 0,
    };
    let images = match get("Repository") {
        Some(uri) => ecr::images(account, repository(uri)).await?.len(),
        None => 0,
    };
    Ok(Inventory {
        stack: stack.is_some(),
        bucket: bucket.map(ToOwned::to_owned),
        contents,
        tasks,
        images,
        instances: instance_stacks(account, name, cluster, known).await?,
    })
}

/// Takes everything away. The same call again goes on where one broke off.
///
/// # Errors
/// [`StackError`].
pub async fn tear_down(
    account: &Account,
    name: &str,
    known: &[String],
    tell: Tell<'_>,
) -> Result<TornDown, StackError> {
    let step = |text: String| tell(Said::Step(text));
    let mut gone = TornDown::default();
    let stack = stack::find(account, name).await?;
    let get = |output_name: &str| stack.as_ref().and_then(|stack| output(stack, output_name));
    if let Some(cluster) = get("Cluster") {
        gone.tasks = stop_tasks(account, cluster, &step).await?;
    }
    let instances = instance_stacks(account, name, get("Cluster"), known).await?;
    if let Some(cluster) = get("Cluster") {
        cluster::change_providers(account, cluster, &[], &instances).await?;
    }
    for name in &instances {
        step(format!("deleting the stack `{name}`"));
        stack::delete(account, name, &mut |event| step(line(event))).await?;
        gone.stacks += 1;
    }
    if let Some(cluster) = get("Cluster")
        && !instances.is_empty()
    {
        cluster::empty(account, cluster, true).await?;
    }
    if let Some(bucket) = get("Bucket") {
        step(format!("emptying the bucket `{bucket}`"));
        gone.objects = bucket::empty(account, bucket, &|count| tell(Said::Count(count))).await?;
        step(format!("deleted {} objects and versions", gone.objects));
    }
    if let Some(uri) = get("Repository") {
        gone.images = delete_images(account, repository(uri)).await?;
        step(format!("deleted {} images", gone.images));
    }
    if let Some(role) = get("ExecutionRole") {
        let found = definitions::of_role(account, role).await?;
        gone.definitions = definitions::remove(account, &found).await?;
        step(format!("removed {} task definitions", gone.definitions));
    }
    if stack.is_some() {
        step(format!("deleting the stack `{name}`"));
        stack::delete(account, name, &mut |event| step(line(event))).await?;
        gone.stacks += 1;
    }
    Ok(gone)
}

async fn stop_tasks(
    account: &Account,
    cluster: &str,
    step: &(dyn Fn(String) + Send + Sync),
) -> Result<usize, CallError> {
    let mut stopped = 0;
    // Whoever still runs a session may start workers meanwhile.
    for _ in 0..5 {
        let tasks = cluster::tasks(account, cluster).await?;
        if tasks.is_empty() {
            break;
        }
        step(format!("stopping {} tasks", tasks.len()));
        let ids: Vec<String> = tasks.into_iter().map(|task| task.id).collect();
        stopped += cluster::stop(account, cluster, &ids, "starburst_teardown()").await?;
        cluster::empty(account, cluster, false).await?;
    }
    Ok(stopped)
}

async fn delete_images(account: &Account, repository: &str) -> Result<usize, CallError> {
    // An image that a list of images names goes after that list.
    let mut deleted = 0;
    for _ in 0..3 {
        let images = ecr::images(account, repository).await?;
        if images.is_empty() {
            break;
        }
        let names: Vec<ImageName> =
            images.into_iter().map(|image| ImageName::Digest(image.digest)).collect();
        let left = ecr::delete_images(account, repository, &names).await?;
        deleted += names.len() - left.len();
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_without_its_registry() {
        assert_eq!(
            repository("1.dkr.ecr.us-east-1.amazonaws.com/starburst-images"),
            "starburst-images"
        );
        assert_eq!(repository("starburst-images"), "starburst-images");
    }
}
