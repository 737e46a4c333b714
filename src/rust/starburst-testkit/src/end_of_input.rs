//! When a program that stands in for a server is to end: with its standard input.
use std::io::Read as _;
use tokio::sync::oneshot;

/// Done when standard input is at its end. A thread of its own, since a read of it cannot be interrupted.
pub fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
        let _ = ended.send(());
    });
    end
}
