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

/// The host's name, and where the system has such things the machine's id, that of its boot, and the process namespace:
/// machines may have one name, containers of many machines have the same namespace number, and process numbers mean
/// nothing after a boot.
fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let file = |path| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|at| at.display().to_string());
    let parts = [file("/etc/machine-id"), file("/proc/sys/kernel/random/boot_id"), namespace];
    parts.into_iter().flatten().fold(name, |host, part| format!("{host} {part}"))
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

/// Sends a signal to a worker by what its heartbeat says of its process. The record may be anybody's: the process gets
/// none unless it is of this host and this user, started when the record says, and runs as this worker.
/// Returns whether it was sent.
pub(crate) fn signal_worker(worker: &WorkerId, process: &ProcessId, signal: Signal) -> bool {
    let started_then = process.started != 0 && started(process.pid) == Some(process.started);
    if process.host == host()
        && started_then
        && is_ours(process.pid)
        && runs_as(process.pid, worker)
        && let Some(pid) = pid(process)
    {
        return rustix::process::kill_process(pid, signal).is_ok();
    }
    false
}

/// Sends a signal to a child that was not waited for yet, so that its number is still its own.
pub(crate) fn signal_child(child: &std::process::Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn is_ours(pid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{pid}"))
        .is_ok_and(|meta| meta.uid() == rustix::process::getuid().as_raw())
}

/// Whether the command line of a process names this worker.
fn runs_as(pid: u32, worker: &WorkerId) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [b"--worker".as_slice(), worker.as_str().as_bytes()])
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_host_is_told_from_another_of_the_same_name() {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(host().contains(boot.trim()), "{}", host());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_process_that_a_record_truly_names_is_signalled() {
        let worker = WorkerId::parse("w-1").unwrap();
        let program = |name: &str| {
            let mut command = std::process::Command::new("sh");
            // The words behind the script are the process's own, as a worker's are.
            command.args(["-c", "read line", "sh", "--worker", name]);
            command.stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        let (mut right, mut other) = (program("w-1"), program("w-2"));
        let record = |child: &std::process::Child| {
            let pid = child.id();
            ProcessId { host: host(), pid, started: started(pid).unwrap() }
        };
        let of = record(&right);
        let spared = [
            ProcessId { started: 0, ..of.clone() },
            ProcessId { started: of.started + 1, ..of.clone() },
            ProcessId { host: "elsewhere".into(), ..of.clone() },
            record(&other),
        ];
        for record in &spared {
            signal_worker(&worker, record, Signal::KILL);
        }
        // Both still wait for a line.
        assert!(right.try_wait().unwrap().is_none() && other.try_wait().unwrap().is_none());
        drop(other.stdin.take());
        assert!(std::os::unix::process::ExitStatusExt::signal(&other.wait().unwrap()).is_none());
        signal_worker(&worker, &of, Signal::KILL);
        let status = right.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
