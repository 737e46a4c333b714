//! Names of images: `[registry/]repository[:tag|@digest]`, as every container tool writes them.
use std::fmt;

/// Where names without a registry are looked up.
const DOCKER_HUB: &str = "docker.io";

/// The address of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The registry's host, with its port if it has one.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
    /// Which image of the repository: a tag, or a digest that begins with `sha256:`.
    pub version: String,
}

/// Text that is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name an image: {why}")]
pub struct NoImageRef {
    text: String,
    why: &'static str,
}

impl ImageRef {
    /// Reads a name. One without a registry is Docker Hub's, one without a tag means `latest`.
    ///
    /// # Errors
    /// [`NoImageRef`].
    pub fn parse(text: &str) -> Result<Self, NoImageRef> {
        let fail = |why| Err(NoImageRef { text: text.chars().take(300).collect(), why });
        let (registry, path) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            Some(_) | None => (DOCKER_HUB, text),
        };
        let (path, version) = if let Some((path, digest)) = path.split_once('@') {
            if !is_digest(digest) {
                return fail("a digest is `sha256:` and 64 figures of 0-9 and a-f");
            }
            // A tag beside a digest says nothing more.
            (path.split_once(':').map_or(path, |(path, _)| path), digest)
        } else {
            path.split_once(':').unwrap_or((path, "latest"))
        };
        let host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if !registry.chars().all(host) {
            return fail("its registry has characters that no host has");
        }
        if !path.split('/').all(is_component) {
            return fail("a repository has parts of a-z, 0-9, `.`, `_` and `-`, between slashes");
        }
        let tag = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_tag = version.chars().all(tag) && !version.starts_with(['.', '-']);
        if version.is_empty() || version.len() > 128 || !(is_digest(version) || is_tag) {
            return fail("a tag has 1 to 128 letters, figures, `.`, `_` and `-`");
        }
        let official = registry == DOCKER_HUB && !path.contains('/');
        let repository = if official { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { registry: registry.to_owned(), repository, version: version.to_owned() })
    }

    /// The address of the registry's server. Only one of this machine is spoken to without encryption.
    pub(crate) fn server(&self) -> String {
        let host =
            if self.registry == DOCKER_HUB { "registry-1.docker.io" } else { &self.registry };
        let scheme = if is_loopback(host) { "http" } else { "https" };
        format!("{scheme}://{host}")
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if is_digest(&self.version) { '@' } else { ':' };
        write!(f, "{}/{}{mark}{}", self.registry, self.repository, self.version)
    }
}

fn is_component(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let bound = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 255
        && text.chars().all(allowed)
        && bound(text.chars().next())
        && bound(text.chars().last())
}

pub(crate) fn is_digest(text: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix("sha256:").is_some_and(|rest| rest.len() == 64 && rest.chars().all(hex))
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_other_tools_read_them() {
        for (text, shown, server) in [
            ("r-base", "docker.io/library/r-base:latest", "https://registry-1.docker.io"),
            ("rocker/r-ver:4.5.1", "docker.io/rocker/r-ver:4.5.1", "https://registry-1.docker.io"),
            ("localhost:5000/a:b", "localhost:5000/a:b", "http://localhost:5000"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "http://127.0.0.1:5000"),
            (
                "1.dkr.ecr.eu-west-1.amazonaws.com/starburst-images:0.1.0",
                "1.dkr.ecr.eu-west-1.amazonaws.com/starburst-images:0.1.0",
                "https://1.dkr.ecr.eu-west-1.amazonaws.com",
            ),
        ] {
            let found = ImageRef::parse(text).unwrap();
            assert_eq!((found.to_string().as_str(), found.server().as_str()), (shown, server));
            assert_eq!(ImageRef::parse(shown).unwrap(), found);
        }
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = ImageRef::parse(&format!("r-base:4.5@{digest}")).unwrap();
        assert_eq!(pinned.to_string(), format!("docker.io/library/r-base@{digest}"));
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        for text in ["", "A/b", "a//b", "a:", "a@sha256:12", "a: b", "a.b/..:c", "r/-x", "a:b:c"] {
            assert!(ImageRef::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("[::1]:5000") && is_loopback("127.1.2.3") && is_loopback("localhost"));
        assert!(!is_loopback("localhost.example.org") && !is_loopback("10.0.0.1:5000"));
    }
}
