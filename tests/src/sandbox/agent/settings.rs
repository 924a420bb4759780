//! How agents are configured, and the files that each of them has.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::sandbox::topology::INTERFACE;

/// How the agents of a sandbox are configured; words as in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Settings {
    /// How pods are attached.
    #[arg(long, default_value = "ipvlan-l2", value_parser = ["ipvlan-l2", "ipvlan-l3", "ipvlan-l3s", "macvlan", "policy-route"])]
    pub attachment: String,
    /// Who switches between pods of one node.
    #[arg(long, default_value = "parent", value_parser = ["parent", "driver"])]
    pub switching: String,
    /// Where the XDP program runs.
    #[arg(long, default_value = "off", value_parser = ["off", "native", "generic", "auto"])]
    pub xdp: String,
    /// The generation of TC hooks.
    #[arg(long, default_value = "auto", value_parser = ["auto", "tcx", "netlink"])]
    pub attach: String,
    /// Policy-route pods pass the host stack by.
    #[arg(skip = true)]
    pub accelerate: bool,
    /// The tables have the size that they have if nobody says otherwise, not a small one.
    #[arg(skip)]
    pub large: bool,
    /// Routes: prefix and path.
    #[arg(skip = service_routes())]
    pub routes: Vec<(String, String)>,
    /// What else stands under the parent, such as its subnets.
    #[arg(skip)]
    pub parent: String,
    /// What else stands in the file, such as pools.
    #[arg(skip)]
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attachment: "ipvlan-l2".into(),
            switching: "parent".into(),
            xdp: "off".into(),
            attach: "auto".into(),
            accelerate: true,
            large: false,
            routes: service_routes(),
            parent: String::new(),
            more: String::new(),
        }
    }
}

/// Services are the host stack's business.
fn service_routes() -> Vec<(String, String)> {
    ["10.96.0.0/16", "fd00:96::/64"].map(|prefix| (prefix.into(), "kernel".into())).into()
}

/// The files of one node's agent: what stays when the process ends.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration.
    pub config: PathBuf,
    /// The API's socket.
    pub socket: PathBuf,
    /// The folder of the store.
    pub state: PathBuf,
    /// Pinned maps and links.
    pub pins: PathBuf,
    /// What the agent logged.
    pub log: PathBuf,
}

impl Files {
    /// Writes a configuration below `folder`, for pins named after `unique`.
    pub fn write(folder: &Path, unique: &str, settings: &Settings) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let files = Self {
            config: folder.join("netpath.toml"),
            socket: folder.join("agent.sock"),
            state: folder.join("state"),
            pins: Path::new("/sys/fs/bpf").join(unique),
            log: folder.join("agent.log"),
        };
        let text = configuration(&files, settings)?;
        fs::write(&files.config, text)
            .with_context(|| format!("write {}", files.config.display()))?;
        Ok(files)
    }
}

fn configuration(files: &Files, settings: &Settings) -> Result<String> {
    let Files { config: _, socket, state, pins, log: _ } = files;
    let Settings { attachment, switching, xdp, attach, accelerate, large, routes, parent, more } =
        settings;
    let mut text = String::new();
    let (socket, state, pins) = (socket.display(), state.display(), pins.display());
    writeln!(text, "[agent]\nsocket = '{socket}'\nstate = '{state}'\npins = '{pins}'")?;
    writeln!(text, "[log]\nlevel = \"info\"")?;
    writeln!(text, "[datapath]\nattach = {attach:?}")?;
    if !large {
        // The kernel zeroes preallocated maps, which an emulated guest feels.
        writeln!(text, "[capacity]\nendpoints = 1000\nroutes = 1000\nflows = 4096")?;
        writeln!(text, "services = 4096\nbackends = 4096\nconnections = 16384")?;
    }
    writeln!(text, "[[parent]]\nname = {INTERFACE:?}\nattachment = {attachment:?}")?;
    writeln!(text, "switching = {switching:?}\nxdp = {xdp:?}\naccelerate = {accelerate}")?;
    text.push_str(parent);
    for (prefix, path) in routes {
        writeln!(text, "[[route]]\nprefix = {prefix:?}\npath = {path:?}")?;
    }
    text.push_str(more);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_names_the_files_and_the_routes() {
        let files = Files {
            config: "/x/netpath.toml".into(),
            socket: "/x/agent.sock".into(),
            state: "/x/state".into(),
            pins: "/sys/fs/bpf/x".into(),
            log: "/x/agent.log".into(),
        };
        let settings = Settings::default();
        let text = configuration(&files, &settings).unwrap();
        assert!(text.contains("socket = '/x/agent.sock'\n"), "{text}");
        assert!(text.ends_with("prefix = \"fd00:96::/64\"\npath = \"kernel\"\n"), "{text}");
    }
}
