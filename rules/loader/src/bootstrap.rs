//! The bootstrap file of a proxy that gets its policy from a control plane: what is local to its process.
//!
//! Promises what every file of this crate promises: bounded, unknown fields refused, errors with their place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use palisade_model::policy::Listener;
use serde::Deserialize;

use crate::LoadError;
use crate::file::read_text;
use crate::yaml::{self, Text};

/// Bytes of a bootstrap file; a process has a handful of listeners.
pub const MAX_BOOTSTRAP_BYTES: usize = 1024 * 1024;

/// What only the process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bootstrap {
    /// A sidecar's own listeners. A gateway's come with its policy.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Where the admin pages are served; loopback only.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// The directory of a gateway's certificates.
    #[serde(default)]
    pub certificates: Option<PathBuf>,
    /// Whether traffic passes while no policy was ever had. Never implied.
    #[serde(default)]
    pub fail_open: bool,
}

/// Reads a bootstrap file. Relative paths in it begin at its directory.
pub fn load(path: &Path) -> Result<Bootstrap, LoadError> {
    let text = read_text(path, MAX_BOOTSTRAP_BYTES)?;
    let file = path.display().to_string();
    let mut bootstrap: Bootstrap = yaml::read(Text { file: &file, text: &text, lines_before: 0 })?;
    let mut names = BTreeSet::new();
    for listener in &bootstrap.listeners {
        if !names.insert(listener.name.as_str()) {
            return Err(LoadError::file(&file, format!("two listeners are called {:?}", listener.name)));
        }
    }
    if let (Some(directory), Some(parent)) = (&mut bootstrap.certificates, path.parent()) {
        *directory = parent.join(&*directory);
    }
    Ok(bootstrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_file_is_read_and_unknown_fields_and_doubled_names_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bootstrap.yaml");
        let listener = "- {name: in, address: \"127.0.0.1:1\", role: outboundHttp}\n";
        std::fs::write(&path, format!("admin: 127.0.0.1:9901\ncertificates: certs\nlisteners:\n{listener}"))
            .unwrap();
        let bootstrap = load(&path).unwrap();
        assert_eq!(bootstrap.listeners.len(), 1);
        assert_eq!(bootstrap.certificates.unwrap(), directory.path().join("certs"));
        assert!(!bootstrap.fail_open);

        std::fs::write(&path, format!("listeners:\n{listener}{listener}")).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("two listeners"));
        let longest =
            |bytes: usize| std::fs::write(&path, format!("failOpen: true\n#{}", " ".repeat(bytes - 16)));
        for (bytes, good) in
            [(MAX_BOOTSTRAP_BYTES - 1, true), (MAX_BOOTSTRAP_BYTES, true), (MAX_BOOTSTRAP_BYTES + 1, false)]
        {
            longest(bytes).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes as u64);
            assert_eq!(load(&path).is_ok(), good, "{bytes}");
        }
        std::fs::write(&path, "listener: []\n").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("bootstrap.yaml:1"), "{error}");
    }
}
