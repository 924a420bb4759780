//! The hooks of the cgroup whose sockets are translated.

use super::Node;
use crate::{
    api::types::{SocketHook, Sockets},
    datapath,
    error::chain,
};

impl Node {
    /// Attaches the programs of sockets, or detaches them, as configured. What fails is told by the
    /// status, and once by the log: everything else works without.
    pub(super) fn attach_sockets(&mut self) {
        let failed = self.datapath.sockets().failure.clone();
        match self.datapath.attach_sockets() {
            Ok(hooks) => {
                for hook in &hooks {
                    tracing::warn!(hook, "attached again");
                }
                self.count_repairs("hook", hooks.len() as u64);
            }
            Err(error) => {
                let error = chain(&error);
                if failed.as_ref() != Some(&error) {
                    tracing::warn!(error, "sockets are not translated");
                }
            }
        }
    }

    /// The cgroup and its hooks, where sockets are to be translated.
    pub(super) fn show_sockets(&self) -> Option<Sockets> {
        let wanted = self.config.services.at_sockets();
        let datapath::SocketsStatus { cgroup, hooks, failure } = self.datapath.sockets();
        wanted.then(|| Sockets {
            cgroup: cgroup.as_ref().map(|path| path.display().to_string()),
            hooks: hooks.iter().map(show).collect(),
            failure: failure.clone(),
        })
    }
}

fn show(hook: &datapath::SocketHook) -> SocketHook {
    let datapath::SocketHook { hook, program, link } = *hook;
    SocketHook { hook: hook.to_owned(), program, link }
}
