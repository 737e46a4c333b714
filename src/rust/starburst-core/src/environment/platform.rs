//! The platform of a worker, as far as installed packages depend on it.
use crate::ids::PlatformId;

/// What an installed package depends on besides its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// R's major and minor version: packages are installed for one of them.
    pub r: (u32, u32),
    /// R's own name for it, such as `x86_64-pc-linux-gnu`.
    pub machine: String,
    /// The system and its version, such as `debian-12`: system libraries differ.
    pub system: String,
}

impl Platform {
    /// Its name in the store.
    pub fn id(&self) -> PlatformId {
        let (major, minor) = self.r;
        PlatformId::of_words(&format!("r{major}-{minor}-{}-{}", self.machine, self.system))
    }
}

/// The system's name and version as `/etc/os-release` has them; `unknown` where it says nothing.
pub fn system_of(os_release: &str) -> String {
    let value = |name: &str| {
        let line = os_release
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
        let text = line.trim().trim_matches(['"', '\'']);
        (!text.is_empty()).then(|| text.to_owned())
    };
    match (value("ID"), value("VERSION_ID")) {
        (Some(id), Some(version)) => format!("{id}-{version}"),
        (Some(id), None) => id,
        (None, _) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_named_by_r_machine_and_system() {
        let system = system_of("PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n");
        let platform = Platform { r: (4, 2), machine: "x86_64-pc-linux-gnu".into(), system };
        assert_eq!(platform.id().as_str(), "r4-2-x86-64-pc-linux-gnu-debian-12");
        assert_eq!(system_of("ID=arch"), "arch");
        assert_eq!(system_of(""), "unknown");
    }
}
