//! How an R process ended, in words for the user.
use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// Names the exit status, and the usual cause where there is one.
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "R ended by itself with exit code 0 (did the task call quit()?)".to_owned(),
        (Some(code), _) => format!("R ended by itself with exit code {code}"),
        (None, Some(signal)) => match named(signal) {
            Some(name) => format!("R was ended by signal {signal} ({name})"),
            None => format!("R was ended by signal {signal}"),
        },
        (None, None) => "R ended".to_owned(),
    }
}

fn named(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "illegal instruction",
        6 => "abort",
        7 => "bus error",
        8 => "arithmetic error",
        9 => "killed; out of memory is the usual cause",
        11 => "segmentation fault",
        15 => "terminated",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_its_usual_cause_are_named() {
        let words = |raw| how_it_ended(ExitStatus::from_raw(raw));
        assert_eq!(words(11), "R was ended by signal 11 (segmentation fault)");
        assert_eq!(words(9), "R was ended by signal 9 (killed; out of memory is the usual cause)");
        assert_eq!(words(3 << 8), "R ended by itself with exit code 3");
        assert!(words(0).contains("quit()"));
    }
}
