//! The hook of the loopback device, where what endpoints in an L3 mode send to the node's own addresses comes
//! by. It is there while packets of such endpoints are translated: all that the node sends to itself passes
//! it.

use super::{Error, Node, State, reconcile::let_go, status};
use crate::{
    api::types::Hook,
    datapath::{LOOPBACK, Lost},
    endpoint::Record,
};

impl State {
    /// Whether the loopback device has a hook.
    #[must_use]
    pub fn hooks_loopback(&self) -> bool {
        self.services.at_packets && self.endpoints().any(is_seen_there)
    }
}

fn is_seen_there(record: &Record) -> bool {
    record.attachment.is_sent_by_host()
}

impl Node {
    /// Attaches the program before an endpoint that wants it can send.
    pub(super) fn adopt_loopback(&mut self, record: &Record) -> Result<(), Error> {
        if self.state.services.at_packets && is_seen_there(record) {
            self.attach_loopback()?;
        }
        Ok(())
    }

    /// Attaches the program, and counts what was lost of it.
    pub(super) fn attach_loopback(&mut self) -> Result<(), Error> {
        let Lost { entry, hooks } = self.datapath.attach_loopback()?;
        if entry {
            tracing::warn!("the map entry of the loopback device was lost");
        }
        for hook in &hooks {
            tracing::warn!(hook = hook.name(), "attached again");
        }
        self.count_repairs("map entry", entry.into());
        self.count_repairs("hook", hooks.len() as u64);
        Ok(())
    }

    /// Detaches the program, if it is there and the last endpoint that wanted it is gone.
    pub(super) async fn leave_loopback(&mut self) -> Result<(), Error> {
        if self.state.hooks_loopback() || !self.datapath.knows_parent(LOOPBACK) {
            return Ok(());
        }
        let_go(&mut self.datapath, &self.netlink, LOOPBACK).await
    }

    /// The hook, if it is attached.
    pub(super) fn show_loopback(&self) -> Option<Hook> {
        let attached = self.datapath.parents();
        let loopback = attached.iter().find(|status| status.ifindex == LOOPBACK)?;
        status::hooks(loopback).pop()
    }
}
