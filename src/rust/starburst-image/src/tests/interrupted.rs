//! Registries that are killed in the middle, and come back.
use super::{
    server::{Registry, Setup},
    world::{Files, build, noise, plan, pull, push_base, until},
};
use crate::{Architecture::Amd64, ImageRef, Plan};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use tokio::task::spawn_blocking;

/// Bytes of the base's layer: many chunks, so that the kill comes in their middle.
const LARGE: usize = 8 << 20;
/// An upload is in its middle when it has more bytes than this.
const SOME: u64 = 2 << 20;

async fn large_base(base: &Registry, to: ImageRef) -> (Vec<u8>, Files, Plan) {
    let (layer, files) = (noise(7, LARGE), Files::new());
    push_base(base, "r-base:1", Amd64, &layer).await;
    let plan = plan(base.image("r-base:1"), to, vec![files.parts(Amd64, 9)]);
    (layer, files, plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_registry_has_forgotten_starts_anew() {
    let (base, mut to) = (Registry::start(&Setup::default()), Registry::start(&Setup::default()));
    let target = to.image("images:1");
    let (layer, _files, plan) = large_base(&base, target.clone()).await;
    let building = tokio::spawn(async move { build(&plan).await });
    let killed = spawn_blocking(move || {
        until("the upload is under way", || to.uploading() > SOME);
        to.kill();
        assert!(to.uploading() < LARGE as u64, "the upload was over before the kill");
        to.again();
        to
    });
    let to = killed.await.unwrap();
    building.await.unwrap().unwrap();
    assert_eq!(pull(&target, "1").await.layers[0], layer);
    // The base's layer twice, ours, and the configuration.
    assert_eq!(to.asked("POST /v2/images/blobs/uploads/"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_registry_still_knows_goes_on_where_it_was() {
    let base = Registry::start(&Setup::default());
    let to = Registry::start(&Setup { remembers: true, ..Setup::default() });
    let to = Arc::new(Mutex::new(to));
    let place = killing_between_chunks(&to);
    let target = ImageRef::parse(&format!("{place}/images:1")).unwrap();
    let (layer, _files, plan) = large_base(&base, target.clone()).await;
    build(&plan).await.unwrap();
    assert_eq!(pull(&target, "1").await.layers[0], layer);
    // The base's layer, ours, and the configuration.
    assert_eq!(to.lock().unwrap().asked("POST /v2/images/blobs/uploads/"), 3);
}

/// A way to a registry that kills it, and starts it again, instead of handing over the fourth chunk.
fn killing_between_chunks(to: &Arc<Mutex<Registry>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let registry = to.lock().unwrap().place.clone();
    // The registry ends with its test, and not with this thread, which nobody ends.
    let (to, chunks) = (Arc::downgrade(to), Arc::new(Mutex::new(0)));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&registry) else { return };
            let (to, chunks) = (to.clone(), Arc::clone(&chunks));
            let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || copy(back, forth, || true));
            thread::spawn(move || {
                copy(client, server, || {
                    let mut chunks = chunks.lock().unwrap();
                    *chunks += 1;
                    if *chunks == 4 {
                        let to = to.upgrade().unwrap();
                        let mut to = to.lock().unwrap();
                        to.kill();
                        to.again();
                    }
                    *chunks != 4
                });
            });
        }
    });
    place
}

/// Hands over what comes, until a chunk begins that may not go on.
fn copy(mut from: TcpStream, mut to: TcpStream, mut chunk_begins: impl FnMut() -> bool) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).unwrap_or(0);
        let begins = bytes[..read].starts_with(b"PATCH ");
        if read == 0 || (begins && !chunk_begins()) || to.write_all(&bytes[..read]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_dies_while_it_is_read_is_read_on() {
    let (mut base, to) = (Registry::start(&Setup::default()), Registry::start(&Setup::default()));
    let target = to.image("images:1");
    let (layer, _files, plan) = large_base(&base, target.clone()).await;
    let building = tokio::spawn(async move { build(&plan).await });
    let killed = spawn_blocking(move || {
        until("the layer is under way", || to.uploading() > SOME);
        base.kill();
        base.again();
        (base, to)
    });
    let (_base, to) = killed.await.unwrap();
    building.await.unwrap().unwrap();
    assert_eq!(pull(&target, "1").await.layers[0], layer);
    assert_eq!(to.asked("POST /v2/images/blobs/uploads/"), 3);
}
