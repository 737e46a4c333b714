//! Whole images: what is pushed is what is pulled back.
use super::{
    server::{Registry, Setup},
    world::{Files, build, http, noise, plan, pull, push_base},
};
use crate::{
    Architecture::{Amd64, Arm64},
    Login, Logins,
    documents::Document,
    registry::Repository,
};

const MANIFEST_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[tokio::test]
async fn an_image_is_pulled_back_as_it_was_pushed_and_sent_once() {
    let (base, to) = (Registry::start(&Setup::default()), Registry::start(&Setup::default()));
    let (layer, files) = (noise(1, 3_300_000), Files::new());
    push_base(&base, "r-base:4.5", Amd64, &layer).await;
    let target = to.image("images:1");
    let plan = plan(base.image("r-base:4.5"), target.clone(), vec![files.parts(Amd64, 1000)]);
    let built = build(&plan).await.unwrap();
    let pulled = pull(&target, "1").await;
    assert_eq!(pulled.layers[0], layer);
    assert_eq!(pulled.manifest.layers[0].media_type, MANIFEST_LAYER);
    assert_eq!(pulled.manifest.layers[1].digest, built.pushed[0].layer);
    assert_eq!(pulled.config["config"]["Entrypoint"][0], "/opt/starburst/bin/starburst-worker");
    assert_eq!(pulled.config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    let all: u64 = pulled.manifest.layers.iter().map(|layer| layer.size).sum();
    assert_eq!((built.pushed[0].sent, built.pushed[0].bytes), (all, all));

    let posts = to.asked("POST /v2/images/blobs/uploads/");
    let again = build(&plan).await.unwrap();
    assert_eq!((&again.digest, again.pushed[0].sent), (&built.digest, 0));
    assert_eq!(to.asked("POST /v2/images/blobs/uploads/"), posts);
}

#[tokio::test]
async fn two_architectures_are_one_index_with_the_layers_of_their_own_base() {
    let (base, to) = (Registry::start(&Setup::default()), Registry::start(&Setup::default()));
    let (intel, arm) = (noise(2, 5000), noise(3, 6000));
    push_base(&base, "two:amd64", Amd64, &intel).await;
    push_base(&base, "two:arm64", Arm64, &arm).await;
    let files = Files::new();
    let error =
        build(&plan(base.image("two:arm64"), to.image("no:1"), vec![files.parts(Amd64, 10)]))
            .await
            .unwrap_err();
    let wrong = error.chain().join(": ");
    assert!(wrong.contains("is not made for amd64: it is made for arm64"), "{wrong}");

    push_index(&base, "two:both", &["amd64", "arm64"]).await;
    let target = to.image("images:2");
    let parts = vec![files.parts(Amd64, 1000), files.parts(Arm64, 1000)];
    let built = build(&plan(base.image("two:both"), target.clone(), parts)).await.unwrap();
    let at = Repository::new(&http(), &target, &Logins::default(), false, None).unwrap();
    let bytes = at.document("2").await.unwrap().unwrap();
    let Document::Many(manifests) = Document::read(&bytes).unwrap() else { panic!("one image") };
    let platforms: Vec<_> = manifests
        .iter()
        .map(|m| (m.digest.clone(), m.platform.as_ref().unwrap().architecture.clone()))
        .collect();
    let expected: Vec<_> =
        built.pushed.iter().map(|p| (p.digest.clone(), p.architecture.to_string())).collect();
    assert_eq!(platforms, expected);
    for (pushed, layer) in built.pushed.iter().zip([&intel, &arm]) {
        let pulled = pull(&target, &pushed.digest).await;
        assert_eq!(&pulled.layers[0], layer);
        assert_eq!(pulled.config["architecture"], pushed.architecture.to_string());
    }
}

/// An index of images that are there under these tags.
async fn push_index(registry: &Registry, name: &str, tags: &[&str]) {
    use crate::documents::{Descriptor, Platform, Stored};
    let image = registry.image(name);
    let to = Repository::new(&http(), &image, &Logins::default(), true, None).unwrap();
    let mut manifests = Vec::new();
    for tag in tags {
        let bytes = to.document(tag).await.unwrap().unwrap();
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let platform = Platform { architecture: (*tag).into(), os: "linux".into(), variant: None };
        manifests.push(Descriptor { platform: Some(platform), ..Descriptor::of(kind, &bytes) });
    }
    to.put_document(&image.version, &Stored::index(&manifests)).await.unwrap();
}

#[tokio::test]
async fn layers_of_the_same_registry_are_taken_over_without_being_sent() {
    let registry = Registry::start(&Setup::default());
    let files = Files::new();
    push_base(&registry, "r-base:1", Amd64, &noise(4, 1_200_000)).await;
    let (base, target) = (registry.image("r-base:1"), registry.image("images:1"));
    let built = build(&plan(base, target.clone(), vec![files.parts(Amd64, 9)])).await.unwrap();
    let pulled = pull(&target, "1").await;
    assert_eq!(built.pushed[0].sent, pulled.manifest.layers[1].size);
    assert_eq!(registry.asked("PATCH /v2/images/"), 0);
}

#[tokio::test]
async fn a_wrong_password_and_none_are_told_in_words_and_the_right_one_works() {
    let base = Registry::start(&Setup::default());
    let to = Registry::start(&Setup { closed: true, ..Setup::default() });
    push_base(&base, "r-base:1", Amd64, &noise(5, 1000)).await;
    let files = Files::new();
    let mut plan =
        plan(base.image("r-base:1"), to.image("images:1"), vec![files.parts(Amd64, 100)]);
    let error = build(&plan).await.unwrap_err();
    assert_eq!(error.kind().class_suffix(), "unauthenticated");
    assert!(error.to_string().contains("wants to know who asks"), "{error}");
    assert!(error.advice().unwrap().contains(&format!("docker login {}", to.place)));
    plan.logins.add(&to.place, Login::new("user", "wrong"));
    let error = build(&plan).await.unwrap_err();
    assert_eq!(error.kind().class_suffix(), "unauthenticated");
    assert!(error.to_string().contains("does not take the password of `user`"), "{error}");
    assert!(!error.chain().join(" ").contains("wrong"));
    plan.logins.add(&to.place, Login::new("user", "right"));
    assert_eq!(build(&plan).await.unwrap().pushed.len(), 1);
}

#[tokio::test]
async fn a_base_that_is_not_there_is_named() {
    let registry = Registry::start(&Setup::default());
    let files = Files::new();
    let (base, target) = (registry.image("none:7"), registry.image("images:1"));
    let error = build(&plan(base, target, vec![files.parts(Amd64, 9)])).await.unwrap_err();
    assert_eq!(error.kind().class_suffix(), "not_found");
    assert_eq!(error.to_string(), format!("there is no image `{}/none:7`", registry.place));
}

#[tokio::test]
async fn a_damaged_layer_of_the_base_does_not_get_into_an_image() {
    let (base, to) = (Registry::start(&Setup::default()), Registry::start(&Setup::default()));
    let manifest = push_base(&base, "r-base:1", Amd64, &noise(6, 1_100_000)).await;
    let stored = base.stored(&manifest.layers[0].digest);
    let mut bytes = std::fs::read(&stored).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(stored, bytes).unwrap();
    let files = Files::new();
    let plan = plan(base.image("r-base:1"), to.image("images:1"), vec![files.parts(Amd64, 9)]);
    let error = build(&plan).await.unwrap_err();
    assert_eq!(error.kind().class_suffix(), "data");
    assert!(error.to_string().contains("is damaged"), "{error}");
}
