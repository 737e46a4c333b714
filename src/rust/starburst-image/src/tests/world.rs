//! Bases, workers and plans for tests.
use super::server::Registry;
use crate::{
    Architecture, Built, ImageRef, Logins, Parts, Plan,
    documents::{Descriptor, Document, Manifest, Stored, digest_of},
    http::Http,
    registry::Repository,
    upload::{Source, put_blob},
};
use serde_json::{Value, json};
use starburst_core::{clock::Clock, error::Error, ids::Ids};
use starburst_local::{SystemClock, SystemIds};
use std::{fs, path::PathBuf, sync::Arc, thread, time::Duration};
use tempfile::TempDir;

pub(super) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

pub(super) fn seams() -> (Arc<dyn Clock>, Arc<dyn Ids>) {
    (Arc::new(SystemClock::default()), Arc::new(SystemIds))
}

pub(super) fn http() -> Http {
    let (clock, ids) = seams();
    Http::new(clock, ids)
}

/// Waits for a condition.
#[allow(clippy::disallowed_methods)] // the rim of the test, where processes do what they do
pub(super) fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came about that {what}");
}

/// Bytes that look like chance, the same for the same seed.
pub(super) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next()).take(bytes).collect()
}

/// Files for a layer.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("worker")).unwrap();
        fs::write(folder.path().join("worker/worker.R"), "serve()").unwrap();
        Self(folder)
    }

    /// A worker of so many bytes, which is as good as one: nobody runs it.
    pub(super) fn parts(&self, architecture: Architecture, bytes: usize) -> Parts {
        let machine = match architecture {
            Architecture::Amd64 => 0x3e,
            Architecture::Arm64 => 0xb7,
        };
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(18, 0);
        program.extend([machine, 0]);
        program.extend(noise(u64::from(machine), bytes));
        let worker: PathBuf = self.0.path().join(architecture.to_string());
        fs::write(&worker, program).unwrap();
        Parts { architecture, worker, scripts: self.0.path().join("worker"), library: None }
    }
}

/// Pushes a base of one layer, as Docker writes them; returns its manifest.
pub(super) async fn push_base(
    registry: &Registry,
    name: &str,
    architecture: Architecture,
    layer: &[u8],
) -> Manifest {
    let image = registry.image(name);
    let to = Repository::new(&http(), &image, &Logins::default(), true, None).unwrap();
    let config = json!({
        "architecture": architecture.to_string(), "os": "linux", "created": "2026-11-01T00:00:00Z",
        "config": { "Env": ["PATH=/usr/bin", "R_VERSION=4.5.1"], "Cmd": ["R"] },
        "rootfs": { "type": "layers", "diff_ids": [digest_of(layer)] }, "history": [] });
    let config = config.to_string().into_bytes();
    let described = Descriptor::of("application/vnd.docker.container.image.v1+json", &config);
    let layers = [Descriptor::of(DOCKER_LAYER, layer)];
    put_blob(&to, &described, Source::Bytes(&config), &|_| {}).await.unwrap();
    put_blob(&to, &layers[0], Source::Bytes(layer), &|_| {}).await.unwrap();
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind, "config": described, "layers": layers });
    let bytes = manifest.to_string().into_bytes();
    let stored = Stored { descriptor: Descriptor::of(kind, &bytes), bytes };
    to.put_document(&image.version, &stored).await.unwrap();
    let Document::One(manifest) = Document::read(&stored.bytes).unwrap() else { panic!() };
    manifest
}

pub(super) fn plan(base: ImageRef, push_to: ImageRef, parts: Vec<Parts>) -> Plan {
    Plan { base, push_to, parts, logins: Logins::default() }
}

pub(super) async fn build(plan: &Plan) -> Result<Built, Error> {
    let (clock, ids) = seams();
    crate::build(plan, clock, ids, &|_| {}).await
}

/// The document at an address, and the bytes of all that it names, each checked by its digest.
pub(super) struct Pulled {
    pub(super) manifest: Manifest,
    pub(super) config: Value,
    pub(super) layers: Vec<Vec<u8>>,
}

pub(super) async fn pull(image: &ImageRef, version: &str) -> Pulled {
    let from = Repository::new(&http(), image, &Logins::default(), false, None).unwrap();
    let bytes = from.document(version).await.unwrap().unwrap();
    let Document::One(manifest) = Document::read(&bytes).unwrap() else { panic!("an index") };
    let config = from.small_blob(&manifest.config.digest).await.unwrap();
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let mut body = from.blob_from(&layer.digest, 0).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let piece = body.next_at_most(1 << 20).await.unwrap();
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        assert_eq!((digest_of(&bytes), bytes.len() as u64), (layer.digest.clone(), layer.size));
        layers.push(bytes);
    }
    Pulled { manifest, config: serde_json::from_slice(&config).unwrap(), layers }
}
