//! What the wire is asked before an endpoint's addresses are used, and told after.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use netpath_common::Mac;

use super::{Error, Node, Shared};
use crate::{
    announce::{ANNOUNCE_INTERVAL, Conflict, Interface, gateway},
    config::Announce,
    endpoint::Record,
    error::chain,
    name::EndpointName,
    netlink::Namespace,
};

/// Makes sure that nobody else on the wire has the endpoint's addresses; `None` if the wire is not
/// to be asked. To be asked before the maps are filled: from then on netpath would answer for them
/// itself.
pub(super) async fn probe(
    node: &Shared,
    record: &Record,
) -> Result<Option<BoxFuture<'static, Result<(), Error>>>, Error> {
    // It asks by itself, if at all: the node is not on its wire.
    if record.nic.is_some() {
        return Ok(None);
    }
    let (Announce { probe, timeout_ms, .. }, interface, probes) = {
        let node = node.lock().await;
        (node.config.announce.clone(), node.parent_of(record)?, Arc::clone(&node.probes))
    };
    if !probe {
        return Ok(None);
    }
    let addresses: Vec<IpAddr> = record.addresses().collect();
    let timeout = Duration::from_millis(timeout_ms.into());
    let ask = async move {
        let conflicts = probes.probe(&interface, &addresses, timeout).await?;
        // Whoever answers with the parent's own address is this node, and it knows what it has.
        match conflicts.into_iter().find(|conflict| conflict.mac != interface.mac) {
            Some(Conflict { address, mac }) => Err(Error::Conflict { address, mac }),
            None => Ok(()),
        }
    };
    Ok(Some(ask.boxed()))
}

/// Makes sure that the endpoint's gateways answer, if that is asked for.
pub(super) async fn check_gateways(node: &Shared, record: &Record) -> Result<(), Error> {
    let (Announce { gateway_check, timeout_ms, .. }, mac) = {
        let node = node.lock().await;
        let mac = match record.mac_on_the_wire() {
            Some(mac) => mac,
            None => node.parent_of(record)?.mac,
        };
        (node.config.announce.clone(), mac)
    };
    if !gateway_check {
        return Ok(());
    }
    let interface = inside(record, mac)?;
    let timeout = Duration::from_millis(timeout_ms.into());
    for address in &record.spec.gateways {
        let like = |own: &IpAddr| own.is_ipv4() == address.is_ipv4();
        let Some(own) = record.addresses().find(like) else { continue };
        if gateway(&interface, own, *address, timeout).await?.is_none() {
            return Err(Error::SilentGateway(*address));
        }
    }
    Ok(())
}

/// Asks for the endpoint's addresses as the node would, and tells which ones are not answered for.
///
/// netpath itself answers the node, at the parent's egress hook: an answer proves that hook and
/// that map entry at work. The pod's own stack answers the wire only, where nobody here can ask
/// from; that it has the addresses is compared inside.
pub(super) async fn unanswered(node: &Shared, record: &Record) -> Result<Vec<IpAddr>, Error> {
    // The node is not on its wire.
    if record.nic.is_some() {
        return Ok(Vec::new());
    }
    let (timeout, interface, own) = {
        let node = node.lock().await;
        let timeout = Duration::from_millis(node.config.announce.timeout_ms.into());
        (timeout, node.parent_of(record)?, node.state.host.clone())
    };
    let mut silent = Vec::new();
    for address in record.spec.addresses.iter().map(ipnet::IpNet::addr) {
        let fits = |own: &&IpAddr| match own {
            IpAddr::V4(_) => address.is_ipv4(),
            IpAddr::V6(v6) => address.is_ipv6() && !v6.is_unicast_link_local(),
        };
        // A node without an address of the family never asks.
        let Some(own) = own.iter().find(fits) else { continue };
        if gateway(&interface, *own, address, timeout).await? != Some(interface.mac) {
            silent.push(address);
        }
    }
    Ok(silent)
}

/// Announces an endpoint's addresses, to be spawned: it takes seconds.
pub(super) async fn tell(node: Shared, name: EndpointName) {
    let mut rounds = tokio::time::interval(ANNOUNCE_INTERVAL);
    let mut told = None;
    for round in 0.. {
        rounds.tick().await;
        let node = node.lock().await;
        // One that was removed and made anew in the meantime has announcements of its own.
        let Some(record) = node.state.endpoint(&name) else { return };
        if round >= node.config.announce.announcements
            || *told.get_or_insert(record.namespace) != record.namespace
        {
            return;
        }
        if let Err(error) = node.announce(record) {
            tracing::debug!(endpoint = %name, error = chain(&error), "not announced");
        }
    }
}

/// The endpoint's interface.
fn inside(record: &Record, mac: Mac) -> Result<Interface, Error> {
    let namespace = Arc::new(Namespace::open(&record.spec.netns)?);
    Ok(Interface { namespace, name: record.spec.interface.clone(), mac })
}

impl Node {
    fn announce(&self, record: &Record) -> Result<(), Error> {
        // The pod's own kernel does.
        if record.nic.is_some() {
            return Ok(());
        }
        let parent = self.parent(&record.spec.parent)?;
        let link = &parent.link;
        let Some(mac) = record.mac_on_the_wire().or(link.mac) else { return Ok(()) };
        Ok(self.announcer.announce((&parent.device(), link.index), mac, record.addresses())?)
    }

    /// The endpoint's parent, as the wire sees it.
    fn parent_of(&self, record: &Record) -> Result<Interface, Error> {
        let parent = self.parent(&record.spec.parent)?;
        Ok(Interface {
            namespace: Arc::new(Namespace::own()?),
            name: parent.device(),
            mac: parent.link.mac.unwrap_or_default(),
        })
    }
}
