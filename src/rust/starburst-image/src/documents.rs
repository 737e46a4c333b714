//! The documents of an image: manifest, index and configuration, as OCI and Docker write them.
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use starburst_core::error::{Error, ErrorKind};
use std::fmt;

use crate::{error::fail, reference::is_digest};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// All that is understood, in a request's header.
pub(crate) fn accepted() -> String {
    [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ")
}

/// The processors that workers are made for, by OCI's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// ARM64, such as Graviton.
    Arm64,
}

impl Architecture {
    /// By OCI's name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "amd64" => Some(Self::Amd64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// One thing that a document names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// What is at the address of an image.
#[derive(Debug)]
pub(crate) enum Document {
    One(Manifest),
    Many(Vec<Descriptor>),
}

impl Document {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let words = |e: serde_json::Error| e.to_string();
        let document = if value.get("manifests").is_some() {
            let index: Index = serde_json::from_value(value).map_err(words)?;
            Self::Many(index.manifests)
        } else {
            Self::One(serde_json::from_value(with_media_type(value)).map_err(words)?)
        };
        let odd = document.descriptors().into_iter().find(|d| !is_digest(&d.digest));
        match odd {
            Some(d) => Err(format!("`{}` is no digest by SHA-256", d.digest)),
            None => Ok(document),
        }
    }

    fn descriptors(&self) -> Vec<&Descriptor> {
        match self {
            Self::One(manifest) => manifest.layers.iter().chain([&manifest.config]).collect(),
            Self::Many(manifests) => manifests.iter().collect(),
        }
    }
}

/// OCI lets manifests leave out what they are.
fn with_media_type(mut manifest: Value) -> Value {
    if let Some(fields) = manifest.as_object_mut() {
        fields.entry("mediaType").or_insert_with(|| json!(MANIFEST));
    }
    manifest
}

impl Manifest {
    /// The manifest with another layer and configuration, in OCI's words: the bytes of Docker's layers are the same.
    pub(crate) fn with_layer(&self, layer: Descriptor, config: Descriptor) -> Self {
        let renamed = |old: &Descriptor| Descriptor {
            media_type: old.media_type.replace(
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
            ..old.clone()
        };
        let layers = self.layers.iter().map(renamed).chain([layer]).collect();
        Self { schema_version: 2, media_type: MANIFEST.to_owned(), config, layers }
    }
}

impl Descriptor {
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest_of(bytes),
            size: bytes.len() as u64,
            platform: None,
        }
    }
}

/// A document as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    fn new(media_type: &str, value: &impl Serialize) -> Self {
        // Maps are sorted, so the same document has the same bytes.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
    pub(crate) fn manifest(manifest: &Manifest) -> Self {
        Self::new(MANIFEST, manifest)
    }
    pub(crate) fn index(manifests: &[Descriptor]) -> Self {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        Self::new(INDEX, &index)
    }
    pub(crate) fn config(config: &Value) -> Self {
        Self::new(CONFIG, config)
    }
}

/// The one of an index that is for Linux on this architecture.
pub(crate) fn choose(
    image: &str,
    manifests: &[Descriptor],
    architecture: Architecture,
) -> Result<Descriptor, Error> {
    let wanted = architecture.to_string();
    let of_linux =
        manifests.iter().filter(|d| d.platform.as_ref().is_some_and(|p| p.os == "linux"));
    let mut has = Vec::new();
    for descriptor in of_linux {
        let Some(platform) = &descriptor.platform else { continue };
        if platform.architecture == wanted {
            return Ok(descriptor.clone());
        }
        has.push(platform.architecture.as_str());
    }
    Err(no_architecture(image, architecture, &has))
}

/// A base image is not made for an architecture.
pub(crate) fn no_architecture(image: &str, wanted: Architecture, has: &[&str]) -> Error {
    fail(
        ErrorKind::InvalidInput,
        format!("`{image}` is not made for {wanted}"),
        image,
        format!("it is made for {}", if has.is_empty() { "none".into() } else { has.join(", ") }),
        "choose other `architectures`, or another `base`: rocker/r-ver and r-base have both",
    )
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    shown(Sha256::digest(bytes).as_slice())
}

/// The SHA-256 of a file, in hexadecimal figures.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of_file(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let (mut file, mut hash) = (std::fs::File::open(path)?, Sha256::new());
    let mut bytes = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut bytes)?;
        if read == 0 {
            return Ok(shown(hash.finalize().as_slice()).trim_start_matches("sha256:").to_owned());
        }
        hash.update(bytes.get(..read).unwrap_or_default());
    }
}

/// A digest as it is written.
pub(crate) fn shown(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(architecture: &str, os: &str) -> Descriptor {
        let platform = Platform { architecture: architecture.into(), os: os.into(), variant: None };
        Descriptor { platform: Some(platform), ..Descriptor::of(MANIFEST, architecture.as_bytes()) }
    }

    #[test]
    fn the_architecture_is_chosen_and_one_that_is_missing_is_named() {
        let manifests = [
            descriptor("unknown", "unknown"),
            descriptor("amd64", "windows"),
            descriptor("arm64", "linux"),
        ];
        assert_eq!(choose("x", &manifests, Architecture::Arm64).unwrap(), manifests[2]);
        let error = choose("x", &manifests, Architecture::Amd64).unwrap_err();
        assert_eq!(error.chain(), ["`x` is not made for amd64", "it is made for arm64"]);
    }

    #[test]
    fn layers_of_docker_get_the_names_of_oci_and_keep_their_digests() {
        let layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        let old = json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": Descriptor::of("application/vnd.docker.container.image.v1+json", b"c"),
            "layers": [Descriptor::of(layer, b"l")] });
        let Document::One(old) = Document::read(old.to_string().as_bytes()).unwrap() else {
            panic!("one image")
        };
        let new = old.with_layer(Descriptor::of(ZSTD_LAYER, b"w"), Descriptor::of(CONFIG, b"d"));
        assert_eq!(new.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(new.layers[0].digest, digest_of(b"l"));
        assert_eq!(new.layers.len(), 2);
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"manifests": 3}"#,
            r#"{"schemaVersion": 2, "config": {
            "mediaType": "a", "digest": "md5:1", "size": 1}, "layers": []}"#,
        ] {
            assert!(Document::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
