//! podman with its CNI backend.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{PATIENCE, Runtime, image, network::List};
use crate::sandbox::{command, namespace::Namespace, wait};

/// podman's view of a node: it has no daemon.
#[derive(Debug)]
pub struct Podman<'a> {
    node: &'a Namespace,
    folder: PathBuf,
    /// Containers that were started and not yet removed.
    running: Vec<String>,
}

impl<'a> Podman<'a> {
    /// Prepares storage and configuration in `folder` and loads the image. Plugins are looked
    /// for in `plugins`, in this order.
    pub fn start(node: &'a Namespace, folder: &Path, plugins: &[&Path]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let networks = folder.join("networks");
        fs::create_dir_all(&networks).with_context(|| format!("make {}", networks.display()))?;
        let shown = folder.display();
        // No systemd in a guest: no journal, and cgroups without it.
        let containers = format!(
            "[containers]\nlog_driver = 'k8s-file'\n[engine]\ncgroup_manager = 'cgroupfs'\n\
             events_logger = 'none'\nruntime = 'runc'\n[network]\nnetwork_backend = 'cni'\n\
             network_config_dir = '{}'\ncni_plugin_dirs = {plugins:?}\n",
            networks.display()
        );
        let storage = format!(
            "[storage]\ndriver = 'overlay'\nrunroot = '{shown}/run'\ngraphroot = '{shown}/graph'\n"
        );
        for (name, text) in [("containers.conf", containers), ("storage.conf", storage)] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        let this = Self { node, folder: folder.to_owned(), running: Vec::new() };
        let archive = folder.join("image.tar");
        image::write(&archive)?;
        command::run(this.podman().args(["load", "--quiet", "--input"]).arg(&archive))?;
        Ok(this)
    }

    fn podman(&self) -> Command {
        let mut podman = self.node.command("podman");
        podman.env("CONTAINERS_CONF", self.folder.join("containers.conf"));
        podman.env("CONTAINERS_STORAGE_CONF", self.folder.join("storage.conf"));
        podman
    }
}

impl Runtime for Podman<'_> {
    fn start(&mut self, name: &str, configuration: &List) -> Result<()> {
        configuration.write(&self.folder.join("networks"))?;
        self.running.push(name.to_owned());
        let mut podman = self.podman();
        podman.args(["run", "--detach", "--pull", "never", "--name", name]);
        podman.args(["--network", &configuration.name, image::NAME]);
        command::run(&mut podman)?;
        wait::until(&format!("container {name} is ready"), PATIENCE, || {
            let said = command::run(self.podman().args(["logs", name]))?;
            Ok((!said.is_empty()).then_some(()))
        })
    }

    fn exec(&self, name: &str, words: &[String]) -> Result<String> {
        command::run(self.podman().args(["exec", name, image::PROGRAM]).args(words))
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        self.running.retain(|running| running != name);
        command::run(self.podman().args(["rm", "--force", "--time", "0", name]))?;
        Ok(())
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        for name in self.running.clone() {
            if let Err(error) = self.remove(&name) {
                eprintln!("netpath-sandbox: remove container {name}: {error:#}");
            }
        }
    }
}
