//! Makes the environment of a session ready on this machine, while the worker shows that it lives.
use super::ThisHost;
use crate::args::Args;
use starburst_core::{
    environment::prepare::Preparation,
    error::Error,
    heartbeat::Heartbeat,
    key::{EnvironmentKeys, SessionKeys},
    manifest::Manifest,
    update::Versioned,
    worker::{
        Told,
        starting::{Beating, Started, beat_while},
    },
};
use starburst_place::Opened;
use std::path::Path;
use tokio::sync::watch;

/// What a worker's R needs to know.
#[derive(Debug)]
pub(crate) struct Ready {
    /// `R_LIBS`, where it is not as it was.
    pub(crate) libraries: Option<String>,
    /// Keeps the packages from being removed as long as this worker lives.
    _host: Option<ThisHost>,
}

/// Gets the packages that the session names; nothing is to be done where it names none. The reason to leave where the
/// worker is told to meanwhile.
pub(crate) async fn make_ready(
    args: &Args,
    opened: &Opened,
    manifest: &Versioned<Manifest>,
    beat: Heartbeat,
    told: watch::Receiver<Told>,
) -> Result<Result<Ready, String>, Error> {
    let Some(environment) = manifest.value.environment.clone() else {
        return Ok(Ok(Ready { libraries: None, _host: None }));
    };
    let Opened { store, clock, ids } = opened.clone();
    let mut host = ThisHost::new(args);
    let platform = host.platform().await?.id();
    let mut preparation = Preparation {
        store,
        clock,
        ids,
        keys: EnvironmentKeys::new(environment),
        platform,
        me: args.worker.clone(),
        pace: manifest.value.pace,
        host: &mut host,
    };
    let Opened { store, clock, ids } = opened.clone();
    let beating = Beating { store, clock, ids, keys: SessionKeys::new(args.session.clone()) };
    match beat_while(&beating, manifest, beat, told, preparation.run()).await? {
        Started::Ready(folder) => {
            let libraries = Some(libraries(&folder?));
            Ok(Ok(Ready { libraries, _host: Some(host) }))
        }
        Started::Leave(reason) => {
            preparation.give_up().await;
            Ok(Err(reason))
        }
    }
}

/// The library in front of what R has anyway.
fn libraries(folder: &Path) -> String {
    match std::env::var("R_LIBS") {
        Ok(others) if !others.is_empty() => format!("{}:{others}", folder.display()),
        Ok(_) | Err(_) => folder.display().to_string(),
    }
}
