//! moto, a second implementation of the services' wire formats, as a process of its own.
use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(crate) struct Moto {
    child: Child,
    pub(crate) endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tools/test.sh` installs moto and names its Python in STARBURST_MOTO_PYTHON; elsewhere there is nothing to test against.
pub(crate) async fn moto() -> Option<Moto> {
    let Ok(python) = std::env::var("STARBURST_MOTO_PYTHON") else {
        eprintln!("no STARBURST_MOTO_PYTHON: not tested against moto");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let moto = Moto { child, endpoint: format!("http://127.0.0.1:{port}") };
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    for _ in 0..600 {
        if listens() {
            return Some(moto);
        }
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(Duration::from_millis(50), never).await;
    }
    panic!("moto did not start");
}
