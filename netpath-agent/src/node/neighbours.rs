//! What the wire is asked before an endpoint's addresses are used, and told after.

use std::{net::IpAddr, sync::Arc, time::Duration};

use netpath_common::Mac;
use nix::net::if_::if_nametoindex;

use super::{Error, Node, Shared};
use crate::{
    announce::{Conflict, Interface, announce, gateway},
    config::Announce,
    endpoint::Record,
    error::chain,
    name::EndpointName,
    netlink::Namespace,
};

/// Makes sure that nobody else on the wire has the endpoint's addresses. To be asked before the
/// maps are filled: from then on netpath would answer for them itself.
pub(super) async fn probe(node: &Shared, record: &Record) -> Result<(), Error> {
    let (Announce { probe, timeout_ms, .. }, interface, probes) = {
        let node = node.lock().await;
        (node.config.announce.clone(), node.parent_of(record)?, Arc::clone(&node.probes))
    };
    if !probe {
        return Ok(());
    }
    let addresses: Vec<IpAddr> = record.addresses().collect();
    let timeout = Duration::from_millis(timeout_ms.into());
    let conflicts = probes.probe(&interface, &addresses, timeout).await?;
    // Whoever answers with the parent's own address is this node, and it knows what it has.
    match conflicts.into_iter().find(|conflict| conflict.mac != interface.mac) {
        Some(Conflict { address, mac }) => Err(Error::Conflict { address, mac }),
        None => Ok(()),
    }
}

/// Makes sure that the endpoint's gateways answer, if that is asked for.
pub(super) async fn check_gateways(node: &Shared, record: &Record) -> Result<(), Error> {
    let (Announce { gateway_check, timeout_ms, .. }, mac) = {
        let node = node.lock().await;
        (node.config.announce.clone(), node.parent_of(record)?.mac)
    };
    if !gateway_check {
        return Ok(());
    }
    let interface = inside(record, mac).await?;
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
    let (times, record, mac) = {
        let node = node.lock().await;
        let Some(record) = node.state.endpoint(&name).cloned() else { return };
        let Ok(parent) = node.parent_of(&record) else { return };
        (node.config.announce.announcements, record, parent.mac)
    };
    let addresses: Vec<IpAddr> = record.addresses().collect();
    let told = match inside(&record, mac).await {
        Ok(interface) => announce(&interface, &addresses, times).await.map_err(Error::from),
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        // It may have been removed meanwhile.
        tracing::debug!(endpoint = %name, error = chain(&error), "not announced to the end");
    }
}

/// The endpoint's interface. A look into its namespace takes a thread, which nobody else waits for.
async fn inside(record: &Record, mac: Mac) -> Result<Interface, Error> {
    let (netns, name) = (record.spec.netns.clone(), record.spec.interface.clone());
    let error = |source| Error::Io { action: "find the pod's interface", source };
    let look = move || -> Result<Interface, Error> {
        let namespace = Namespace::open(&netns)?;
        let index = namespace.run(|| if_nametoindex(name.as_str()))?;
        let index = index.map_err(|errno| error(errno.into()))?;
        Ok(Interface { namespace: Arc::new(namespace), index, mac })
    };
    tokio::task::spawn_blocking(look).await.map_err(|broken| error(broken.into()))?
}

impl Node {
    /// The endpoint's parent, as the wire sees it.
    fn parent_of(&self, record: &Record) -> Result<Interface, Error> {
        let parent = self.parent(&record.spec.parent)?;
        Ok(Interface {
            namespace: Arc::new(Namespace::own()?),
            index: parent.link.index,
            mac: parent.link.mac.unwrap_or_default(),
        })
    }
}
