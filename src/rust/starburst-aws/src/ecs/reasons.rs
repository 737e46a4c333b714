//! What became of a task, in words: ECS's stop codes and reasons, and exit codes of containers.
use aws_sdk_ecs::types::{Task, TaskStopCode};
use starburst_core::launch::Fate;

/// The fate of a worker by what ECS says of its task.
pub(super) fn fate(task: &Task) -> Fate {
    match task.last_status() {
        Some("STOPPED") => Fate::Gone(in_words(task)),
        _ => Fate::Alive,
    }
}

/// Why a task stopped, and what a user can do.
fn in_words(task: &Task) -> String {
    let reason = task.stopped_reason().unwrap_or_default();
    let container = task.containers().first();
    let container_reason = container.and_then(|c| c.reason()).unwrap_or_default();
    let exit = container.and_then(|c| c.exit_code());
    let said = if container_reason.is_empty() { reason } else { container_reason };
    if let Some(words) = by_text(&format!("{reason} {container_reason}"), said) {
        return words;
    }
    match (task.stop_code(), exit) {
        (Some(TaskStopCode::SpotInterruption | TaskStopCode::TerminationNotice), _) => {
            "AWS took its Spot capacity back".to_owned()
        }
        (Some(TaskStopCode::UserInitiated), _) => format!("it was stopped: {reason}"),
        (_, Some(137)) => {
            "it was killed (exit code 137), most often for using more memory than it has; use a larger `memory`".to_owned()
        }
        (_, Some(0)) => "its container ended".to_owned(),
        (_, Some(code)) => format!("its container ended with exit code {code}"),
        (_, None) if said.is_empty() => "its task stopped".to_owned(),
        (_, None) => format!("its task stopped: {said}"),
    }
}

/// Texts that AWS documents for stopped tasks (AWS, November 2026).
fn by_text(all: &str, said: &str) -> Option<String> {
    let has = |text: &str| all.contains(text);
    let words = if has("OutOfMemory") {
        "it used more memory than it has (out of memory); use a larger `memory`".to_owned()
    } else if has("descriptor matching platform") || has("exec format error") {
        format!(
            "its image is for another processor: {said}; `starburst_image_build(architectures = )` builds for amd64 \
             (x86-64), arm64, or both"
        )
    } else if has("CannotPullContainer") || has("CannotPullImage") {
        format!("its image cannot be pulled: {said}; check `image =`, or run starburst_doctor()")
    } else if has("unable to retrieve secret") {
        format!(
            "ECS may not read a secret, or it is not there: {said}; allow the execution role to read it, and see \
             options(starburst.secrets)"
        )
    } else if has("ResourceInitializationError")
        && (has("execution role") || has("assume") || has("not authorized"))
    {
        format!(
            "ECS may not use the execution role, or the role may not do what ECS needs: {said}; run starburst_setup() \
             again, or ask your administrator"
        )
    } else if has("ResourceInitializationError") && has("awslogs") {
        format!("its log cannot be written: {said}; run starburst_setup() again")
    } else if has("ResourceInitializationError")
        || has("etwork interface")
        || has("etwork Interface")
        || has("subnet")
    {
        format!(
            "its network could not be set up: {said}; check that the subnets have free addresses and a route to the internet"
        )
    } else {
        return None;
    };
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::Container;

    fn stopped(code: Option<TaskStopCode>, reason: &str, exit: Option<i32>) -> String {
        let container = Container::builder().set_exit_code(exit).build();
        let task = Task::builder()
            .last_status("STOPPED")
            .set_stop_code(code)
            .stopped_reason(reason)
            .containers(container)
            .build();
        match fate(&task) {
            Fate::Gone(words) => words,
            other @ (Fate::Alive | Fate::Unknown) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_task_that_stopped_says_why() {
        let failed = Some(TaskStopCode::TaskFailedToStart);
        let exited = Some(TaskStopCode::EssentialContainerExited);
        let pull =
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found";
        let other = "CannotPullContainerError: pull image manifest has been retried 5 time(s): image Manifest does not \
                     contain descriptor matching platform 'linux/arm64'";
        assert!(
            stopped(failed.clone(), other, None).starts_with("its image is for another processor")
        );
        assert!(
            stopped(failed.clone(), pull, None)
                .starts_with("its image cannot be pulled: CannotPull")
        );
        let eni = "ResourceInitializationError: failed to configure ENI: no free addresses";
        assert!(stopped(failed.clone(), eni, None).contains("subnets have free addresses"));
        let role = "ResourceInitializationError: unable to assume execution role";
        assert!(stopped(failed, role, None).contains("execution role"));
        let memory = "OutOfMemoryError: Container killed due to memory usage";
        assert!(stopped(exited.clone(), memory, Some(137)).contains("larger `memory`"));
        assert!(
            stopped(exited.clone(), "Essential container in task exited", Some(137))
                .contains("137")
        );
        assert_eq!(
            stopped(exited, "Essential container in task exited", Some(3)),
            "its container ended with exit code 3"
        );
        let spot = stopped(
            Some(TaskStopCode::SpotInterruption),
            "Your Spot Task was interrupted.",
            Some(143),
        );
        assert_eq!(spot, "AWS took its Spot capacity back");
    }

    #[test]
    fn a_task_that_has_not_stopped_is_alive() {
        for status in ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING"] {
            assert_eq!(fate(&Task::builder().last_status(status).build()), Fate::Alive);
        }
    }
}
