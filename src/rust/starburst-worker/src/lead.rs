//! A worker that leads its detached session while no client does: it starts workers, replaces lost ones, keeps the budget.
use starburst_aws::{account::Account, ecs::EcsLauncher};
use starburst_core::{
    client::{Client, Deps},
    compute::Compute,
    held::Ground,
    ids::ClientId,
    key::SessionKeys,
    lead::Leadership,
    manifest::{Lifetime, Manifest},
};
use std::sync::Arc;
use tokio::sync::watch;

/// What starts workers of this session on ECS, and tells what became of them.
pub(crate) fn launcher(
    manifest: &Manifest,
    account: &Account,
    deps: &Basics,
) -> Option<Arc<EcsLauncher>> {
    let Compute::Ecs(fleet) = &manifest.compute else {
        return None;
    };
    let (clock, ids) = (Arc::clone(&deps.clock), Arc::clone(&deps.ids));
    Some(Arc::new(EcsLauncher::new(account.clone(), (**fleet).clone(), clock, ids)))
}

/// What a worker shares with whoever leads inside it.
pub(crate) type Basics = starburst_place::Opened;

/// Stands by for the lead, and leads when nobody else does, until `over`.
pub(crate) async fn stand_by(
    basics: Basics,
    launcher: Arc<EcsLauncher>,
    manifest: Manifest,
    mut over: watch::Receiver<bool>,
) {
    if manifest.lifetime != Lifetime::Detached {
        return;
    }
    let Basics { store, clock, ids } = basics;
    let (me, keys) = (ClientId::fresh(&*ids), SessionKeys::new(manifest.session.clone()));
    let mut leadership = Leadership::default();
    loop {
        let ground = Ground {
            store: &*store,
            key: keys.lead(),
            clock: &*clock,
            ids: &*ids,
            lease: manifest.pace.lease,
        };
        if matches!(leadership.ask(&ground, &me, None).await, Ok(true)) {
            break;
        }
        tokio::select! {
            _ = over.wait_for(|over| *over) => return,
            () = clock.sleep(manifest.pace.lease / 3) => {}
        }
    }
    let deps = Deps { store, launcher, clock: Arc::clone(&clock), ids };
    let client = loop {
        match Client::attach_inside_worker(deps.clone(), manifest.session.clone(), me.clone()).await
        {
            Ok(client) => break client,
            Err(error) => eprintln!("starburst-worker: cannot lead: {}", error.chain().join(": ")),
        }
        tokio::select! {
            _ = over.wait_for(|over| *over) => return,
            () = clock.sleep(manifest.pace.patrol) => {}
        }
    };
    // What stops the fleet stops it until somebody wants to go on; here that is for ever.
    while !*over.borrow() {
        client.engage();
        tokio::select! {
            _ = over.wait_for(|over| *over) => {}
            () = clock.sleep(manifest.pace.patrol) => {}
        }
        if let Some(trouble) = client.trouble() {
            eprintln!("starburst-worker: {}", trouble.chain().join(": "));
        }
    }
    // This worker is over: what is left to do needs another, started while somebody can.
    if let Err(error) = client.leave().await {
        eprintln!("starburst-worker: {}", error.chain().join(": "));
        client.lay_down_lead().await;
        client.stop();
    }
}
