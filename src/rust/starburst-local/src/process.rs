//! Processes of this machine: which one is this, is that one gone, end it.
use async_trait::async_trait;
use rustix::{
    io::Errno,
    process::{Pid, Signal},
};
use starburst_core::{
    heartbeat::ProcessId,
    ids::WorkerId,
    launch::{Fate, Fates},
};

/// This process, as others can recognise it.
pub fn this_process() -> ProcessId {
    let pid = std::process::id();
    ProcessId { host: host(), pid, started: started(pid).unwrap_or(0) }
}

/// The host's name, and where there are such things the process namespace: numbers mean nothing outside it.
fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) => format!("{name} {}", namespace.display()),
        Err(_) => name,
    }
}

/// The fields of Linux's `stat` of a process from the third on, its state.
fn stat(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name, which may contain anything.
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

/// When a process started, in clock ticks since boot: the 22nd field.
fn started(pid: u32) -> Option<u64> {
    stat(pid)?.split(' ').nth(19)?.parse().ok()
}

/// Whether a process has ended and nobody has asked how yet.
fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.starts_with('Z'))
}

/// What became of workers, by looking at the processes of this host.
#[derive(Debug, Default)]
pub struct LocalFates;

#[async_trait]
impl Fates for LocalFates {
    async fn fate(&self, _: &WorkerId, process: Option<&ProcessId>) -> Fate {
        match process {
            Some(process) if process.host == host() => look(process),
            Some(_) | None => Fate::Unknown,
        }
    }
}

fn look(process: &ProcessId) -> Fate {
    let gone = || Fate::Gone(format!("its process {} ended", process.pid));
    match pid(process).map(rustix::process::test_kill_process) {
        None | Some(Err(Errno::SRCH)) => gone(),
        Some(_) if is_zombie(process.pid) => gone(),
        Some(Ok(()) | Err(_)) => match started(process.pid) {
            // Another process has the number now.
            Some(started) if process.started != 0 && started != process.started => gone(),
            Some(_) | None => Fate::Alive,
        },
    }
}

fn pid(process: &ProcessId) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process.pid).ok()?)
}

/// Sends a signal, if the process is surely the one that is meant.
pub(crate) fn signal(process: &ProcessId, signal: Signal) {
    if process.host == host()
        && look(process) == Fate::Alive
        && let Some(pid) = pid(process)
    {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_process_is_alive_and_an_ended_one_is_gone() {
        let me = this_process();
        let worker = WorkerId::parse("w").unwrap();
        assert_eq!(LocalFates.fate(&worker, Some(&me)).await, Fate::Alive);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let ended = ProcessId { pid, ..me.clone() };
        assert!(matches!(LocalFates.fate(&worker, Some(&ended)).await, Fate::Gone(_)));
        let later = ProcessId { started: me.started + 1, ..me.clone() };
        assert!(matches!(LocalFates.fate(&worker, Some(&later)).await, Fate::Gone(_)));
        let elsewhere = ProcessId { host: "elsewhere".into(), ..me };
        assert_eq!(LocalFates.fate(&worker, Some(&elsewhere)).await, Fate::Unknown);
    }
}
