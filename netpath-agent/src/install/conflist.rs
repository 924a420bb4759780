//! The network configuration that is put in place.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::json;

use super::{Error, PLUGIN};
use crate::config::Agent;

/// A network configuration for container runtimes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflist {
    network: String,
    text: String,
}

impl Conflist {
    /// A network of netpath alone, with the agent's default pools.
    ///
    /// Its version is the newest that runtimes on supported systems all speak: those of 2021
    /// (containerd 1.4, Debian 11) refuse what is newer. Newer ones choose from `cniVersions`.
    #[must_use]
    pub fn standard(socket: &Path) -> Self {
        let mut plugin = json!({
            "type": PLUGIN,
            "capabilities": { "ips": true, "bandwidth": true },
        });
        if socket != Agent::default().socket {
            plugin["socket"] = socket.to_string_lossy().into();
        }
        let network = "netpath".to_owned();
        let conflist = json!({
            "cniVersion": "0.4.0",
            "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
            "name": network,
            "plugins": [plugin],
        });
        Self { network, text: format!("{conflist:#}\n") }
    }

    /// The operator's own, which must name our plugin.
    pub fn load(path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct List {
            name: String,
            plugins: Vec<Plugin>,
        }
        #[derive(Deserialize)]
        struct Plugin {
            #[serde(rename = "type")]
            program: String,
        }
        let invalid = |problem| Error::Conflist { path: path.to_owned(), problem };
        let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        let List { name, plugins } =
            serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if plugins.iter().any(|plugin| plugin.program == PLUGIN) {
            Ok(Self { network: name, text })
        } else {
            Err(invalid(format!("none of its plugins is of type {PLUGIN}; add one")))
        }
    }

    /// The network's name.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The file's content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
