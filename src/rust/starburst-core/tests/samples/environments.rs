//! One object of each kind that environments are made of.
use starburst_core::{
    blob::BlobHash,
    clock::UnixMillis,
    envelope::{Kind, encode, seal},
    environment::{
        Failure, Installed, Library, Need, Needs, Repository, Source,
        lease::{BuildLease, Progress},
        look::Use,
    },
    ids::{EnvironmentId, Nonce, ObjectId, PlatformId},
    key::{EnvironmentKeys, Key},
};

pub(crate) fn keys() -> EnvironmentKeys {
    EnvironmentKeys::new(EnvironmentId::parse("e-1").unwrap())
}

pub(crate) fn platform() -> PlatformId {
    PlatformId::parse("r4-2-x86-64-debian-12").unwrap()
}

pub(crate) fn build() -> ObjectId {
    ObjectId::parse("b-1").unwrap()
}

fn need(package: &str, source: Source) -> Need {
    Need {
        package: package.into(),
        version: "1.0-2".into(),
        source,
        repository: String::new(),
        remote: String::new(),
        commit: String::new(),
        subdirectory: String::new(),
        archive: None,
        dependencies: Vec::new(),
    }
}

pub(crate) fn needs() -> Needs {
    let address = "https://cran.example.org";
    let packages = vec![
        Need { repository: address.into(), ..need("cran", Source::Repository) },
        Need {
            remote: "owner/name".into(),
            commit: "0123456789abcdef".into(),
            subdirectory: "r".into(),
            dependencies: vec!["cran".into()],
            ..need("github", Source::Github)
        },
        Need { archive: Some(BlobHash::of(b"archive")), ..need("local", Source::Local) },
    ];
    let repositories = vec![Repository { name: "CRAN".into(), address: address.into() }];
    Needs { packages, repositories }
}

pub(crate) fn used() -> Use {
    Use { at: UnixMillis(1_764_000_000_000) }
}

pub(crate) fn lease() -> BuildLease {
    let progress =
        Progress { doing: "Installing".into(), done: 34, total: 112, package: "Matrix".into() };
    BuildLease { write: Nonce(5), holder: Some(super::worker()), progress }
}

pub(crate) fn failure() -> Failure {
    Failure { message: "no curl.h\nlast line".into(), at: UnixMillis(1_764_000_000_001) }
}

pub(crate) fn library() -> Library {
    let package = |n: u32| Installed {
        package: format!("p{n}"),
        version: format!("{n}.0"),
        identity: format!("identity {n}"),
    };
    Library {
        build: build(),
        parts: 2,
        packed: 9_000_000,
        unpacked: 30_000_000,
        hash: BlobHash::of(b"parts"),
        packages: (0..3).map(package).collect(),
        fresh: 1,
        took_ms: 12_345,
        built_at: UnixMillis(1_764_000_000_002),
        warnings: vec!["package `p1` is 1.0 on workers".into()],
    }
}

/// What a part or a source archive holds: any bytes.
pub(crate) const ARCHIVE: &[u8] = b"an archive";

pub(crate) fn source() -> Key {
    keys().source(&BlobHash::of(ARCHIVE))
}

pub(crate) fn part() -> Key {
    keys().part(&platform(), &build(), 1)
}

/// All of them, as today's code stores them.
pub(crate) fn all() -> Vec<(Kind, Key, bytes::Bytes)> {
    fn encoded<T: serde::Serialize>(kind: Kind, key: Key, value: &T) -> (Kind, Key, bytes::Bytes) {
        let object = encode(kind, &key, value).unwrap();
        (kind, key, object)
    }
    vec![
        encoded(Kind::Needs, keys().needs(), &needs()),
        encoded(Kind::Use, keys().used(), &used()),
        encoded(Kind::BuildLease, keys().lease(&platform()), &lease()),
        encoded(Kind::BuildFailure, keys().failure(&platform()), &failure()),
        encoded(Kind::Library, keys().library(&platform()), &library()),
        (Kind::SourceArchive, source(), seal(Kind::SourceArchive, &source(), ARCHIVE)),
        (Kind::LibraryPart, part(), seal(Kind::LibraryPart, &part(), ARCHIVE)),
    ]
}
