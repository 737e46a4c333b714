//! An image of workers: for each architecture the base's layers, then ours, with the worker as its entry point.
use crate::{
    auth::Logins,
    documents::{
        Architecture, Descriptor, Document, Manifest, Platform, Stored, choose, no_architecture,
    },
    error::{fail, senseless},
    http::Http,
    layer::{self, HOME, Layer, Parts, USER},
    reference::ImageRef,
    registry::Repository,
    upload::{Fate, Source, put_blob},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use starburst_core::{
    clock::Clock,
    error::{Error, ErrorKind},
    ids::Ids,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Layers that are brought over at once: while one is read, another is written.
const AT_ONCE: usize = 4;

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The image with R.
    pub base: ImageRef,
    /// Where the result goes; it has a tag.
    pub push_to: ImageRef,
    /// What goes onto the base, for each architecture.
    pub parts: Vec<Parts>,
    /// Who asks.
    pub logins: Logins,
}

/// What is told while it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Something begins, or was done.
    Step(String),
    /// So many bytes of layers were sent up to now.
    Sent(u64),
}

/// Told while it is built.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its address, by its digest.
    pub digest: String,
    /// What was pushed for each architecture.
    pub pushed: Vec<Pushed>,
}

/// What was pushed for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The architecture.
    pub architecture: Architecture,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of the layer with the worker.
    pub layer: String,
    /// Bytes of all its layers.
    pub bytes: u64,
    /// Bytes that were sent; the rest was there.
    pub sent: u64,
}

/// What a base image says of itself for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its environment variables.
    pub env: Vec<(String, String)>,
}

struct Found {
    manifest: Manifest,
    config: Value,
}

/// Looks at the base image.
///
/// # Errors
/// It is not there, not for this architecture, or nobody may read it.
pub async fn look(
    base: &ImageRef,
    architecture: Architecture,
    logins: &Logins,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> Result<Base, Error> {
    let from = Repository::new(&Http::new(clock, ids), base, logins, false, None)?;
    let found = find(&from, base, architecture).await?;
    let env = texts(&found.config["config"]["Env"]).into_iter();
    let env = env.filter_map(|line| {
        line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    Ok(Base { env: env.collect() })
}

/// Builds an image and pushes it: several architectures as one index.
///
/// # Errors
/// What cannot go into an image, and what a registry refuses, each with what to do.
pub async fn build(
    plan: &Plan,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    tell: Tell<'_>,
) -> Result<Built, Error> {
    let (base, push_to) = (&plan.base, &plan.push_to);
    let step = |text| tell(Progress::Step(text));
    let http = Http::new(clock, ids);
    let from = Repository::new(&http, base, &plan.logins, false, None)?;
    let mounts = (base.registry == push_to.registry).then_some(base.repository.as_str());
    let to = Repository::new(&http, push_to, &plan.logins, true, mounts)?;
    let mut pushed = Vec::new();
    let mut manifests = Vec::new();
    for parts in &plan.parts {
        let architecture = parts.architecture;
        step(format!("looking at {base} for {architecture}"));
        let found = find(&from, base, architecture).await?;
        step(format!("packing the worker for {architecture}"));
        let layer = packed(parts.clone()).await?;
        let config = Stored::config(&with_worker(found.config, &layer, base)?);
        let manifest =
            found.manifest.with_layer(layer.descriptor.clone(), config.descriptor.clone());
        let sent = bring(&from, &to, &found.manifest, &layer, tell).await?;
        put_blob(&to, &config.descriptor, Source::Bytes(&config.bytes), &|_| {}).await?;
        let stored = Stored::manifest(&manifest);
        pushed.push(Pushed {
            architecture,
            digest: stored.descriptor.digest.clone(),
            layer: layer.descriptor.digest.clone(),
            bytes: manifest.layers.iter().map(|layer| layer.size).sum(),
            sent,
        });
        manifests.push((architecture, stored));
    }
    let top = match manifests.as_slice() {
        [(_, only)] => only.clone(),
        several => {
            for (_, manifest) in several {
                to.put_document(&manifest.descriptor.digest, manifest).await?;
            }
            Stored::index(&several.iter().map(|(a, stored)| placed(*a, stored)).collect::<Vec<_>>())
        }
    };
    step(format!("naming it {push_to}"));
    to.put_document(&push_to.version, &top).await?;
    Ok(Built { digest: top.descriptor.digest, pushed })
}

/// How an index names a manifest.
fn placed(architecture: Architecture, stored: &Stored) -> Descriptor {
    let platform =
        Platform { architecture: architecture.to_string(), os: "linux".into(), variant: None };
    Descriptor { platform: Some(platform), ..stored.descriptor.clone() }
}

/// Packing takes seconds of computing: not on a thread that others wait for.
async fn packed(parts: Parts) -> Result<Layer, Error> {
    let packed = tokio::task::spawn_blocking(move || layer::make(&parts)).await;
    packed.unwrap_or_else(|error| Err(Error::Internal { detail: error.to_string() }))
}

/// Brings all layers over, and returns how many bytes were sent.
async fn bring(
    from: &Repository,
    to: &Repository,
    base: &Manifest,
    layer: &Layer,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    tell(Progress::Step("bringing layers over, bytes sent".to_owned()));
    let total = AtomicU64::new(0);
    let sent = |bytes: u64| tell(Progress::Sent(total.fetch_add(bytes, Relaxed) + bytes));
    let of_base = base.layers.iter().map(|blob| (blob, Source::Repository(from)));
    let mut coming = Vec::new();
    for (blob, source) in of_base.chain([(&layer.descriptor, Source::File(layer.file.path()))]) {
        coming.push(put_blob(to, blob, source, &sent));
    }
    let count = coming.len();
    let fates: Vec<Fate> = stream::iter(coming).buffer_unordered(AT_ONCE).try_collect().await?;
    let of = |fate| fates.iter().filter(|f| **f == fate).count();
    tell(Progress::Step(format!(
        "of {count} layers {} were there, {} were taken over, {} were sent ({:.1} MB)",
        of(Fate::Present),
        of(Fate::Mounted),
        of(Fate::Sent),
        total.load(Relaxed) as f64 / 1e6
    )));
    Ok(total.load(Relaxed))
}

/// The base's manifest and configuration for an architecture.
async fn find(
    from: &Repository,
    base: &ImageRef,
    architecture: Architecture,
) -> Result<Found, Error> {
    let name = base.to_string();
    let missing = |version: &str| {
        fail(
            ErrorKind::NotFound,
            format!("there is no image `{name}`"),
            &name,
            format!("nothing at `{version}`"),
            "check its name and tag; one that is not public needs a `login`",
        )
    };
    let read =
        |bytes: &[u8]| Document::read(bytes).map_err(|said| senseless(&from.registry, &name, said));
    let bytes = from.document(&base.version).await?.ok_or_else(|| missing(&base.version))?;
    let manifest = match read(&bytes)? {
        Document::One(manifest) => manifest,
        Document::Many(manifests) => {
            let one = choose(&name, &manifests, architecture)?;
            let bytes = from.document(&one.digest).await?.ok_or_else(|| missing(&one.digest))?;
            match read(&bytes)? {
                Document::One(manifest) => manifest,
                Document::Many(_) => {
                    return Err(senseless(&from.registry, &name, "an index in an index"));
                }
            }
        }
    };
    let config = from.small_blob(&manifest.config.digest).await?;
    let config: Value = serde_json::from_slice(&config)
        .map_err(|error| senseless(&from.registry, &name, error.to_string()))?;
    let made_for = config["architecture"].as_str().unwrap_or("nothing");
    if made_for != architecture.to_string() {
        return Err(no_architecture(&name, architecture, &[made_for]));
    }
    Ok(Found { manifest, config })
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The configuration with our layer, and with the worker as what runs.
fn with_worker(mut config: Value, layer: &Layer, base: &ImageRef) -> Result<Value, Error> {
    let odd = || senseless(&base.registry, &base.to_string(), "its configuration lists no layers");
    let ids = config["rootfs"]["diff_ids"].as_array_mut().ok_or_else(odd)?;
    ids.push(json!(layer.diff_id));
    // The time is the base's, so that the same input makes the same image.
    let created = config["created"].clone();
    let version = env!("CARGO_PKG_VERSION");
    if let Some(history) = config["history"].as_array_mut() {
        let mut entry = json!({ "created_by": format!("starburst {version}") });
        if created.is_string() {
            entry["created"] = created;
        }
        history.push(entry);
    }
    if !config["config"].is_object() {
        config["config"] = json!({});
    }
    let run = &mut config["config"];
    let home = format!("HOME=/{HOME}/home");
    let mut env: Vec<String> = texts(&run["Env"]).into_iter().map(ToOwned::to_owned).collect();
    env.retain(|line| !line.starts_with("HOME="));
    env.push(home);
    run["Env"] = json!(env);
    run["Entrypoint"] = json!([format!("/{HOME}/bin/starburst-worker")]);
    run["User"] = json!(format!("{USER}:{USER}"));
    run["WorkingDir"] = json!(format!("/{HOME}/home"));
    run["Labels"]["starburst.version"] = json!(version);
    if let Some(run) = run.as_object_mut() {
        // What the base would run is not run, and ECS stops a worker by SIGTERM.
        for name in ["Cmd", "StopSignal", "Healthcheck", "ArgsEscaped"] {
            run.remove(name);
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_runs_as_nobody_in_particular_and_what_the_base_set_stays() {
        let base = ImageRef::parse("localhost:1/r").unwrap();
        let layer = Layer {
            file: tempfile::NamedTempFile::new().unwrap(),
            descriptor: Descriptor::of("x", b""),
            diff_id: "sha256:ours".into(),
        };
        let config = json!({ "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": { "Env": ["PATH=/bin", "HOME=/root"], "Cmd": ["R"], "StopSignal": "SIGINT", "Labels": null },
            "rootfs": { "type": "layers", "diff_ids": ["sha256:base"] }, "history": [{}] });
        let made = with_worker(config, &layer, &base).unwrap();
        let run = &made["config"];
        assert_eq!(run["Entrypoint"], json!(["/opt/starburst/bin/starburst-worker"]));
        assert_eq!(run["Env"], json!(["PATH=/bin", "HOME=/opt/starburst/home"]));
        assert_eq!(run["User"], "10001:10001");
        assert_eq!((run.get("Cmd"), run.get("StopSignal")), (None, None));
        assert_eq!(made["rootfs"]["diff_ids"], json!(["sha256:base", "sha256:ours"]));
        assert_eq!(made["history"].as_array().map(Vec::len), Some(2));
        assert_eq!(made["history"][1]["created"], "2026-01-01T00:00:00Z");
    }
}
