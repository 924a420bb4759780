//! Creating and removing a pod's interface.

use std::{io, net::IpAddr, path::PathBuf};

use ipnet::{IpNet, Ipv6Net};

use super::Record;
use crate::netlink::{self, IpvlanFlags, Link, LinkKind, Namespace, Netlink};

/// An interface could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The namespace is the node's own: the child would not be apart from its parent.
    #[error("{} is the node's own network namespace; name the pod's", .0.display())]
    OwnNamespace(PathBuf),
    /// The name is taken inside the namespace.
    #[error("interface {interface} exists in {} already; remove it or choose another name", netns.display())]
    InterfaceExists {
        /// The name.
        interface: String,
        /// The namespace.
        netns: PathBuf,
    },
    /// The interface vanished while it was being made.
    #[error("interface {0} vanished while it was being set up; somebody else removed it")]
    Vanished(String),
    /// IPv6 is switched off in the namespace.
    #[error("can not turn on IPv6 for {interface} in {}", netns.display())]
    Ipv6 {
        /// The interface.
        interface: String,
        /// The namespace.
        netns: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The parent has children or a master of another kind.
    #[error(
        "the parent is in use by macvlan, a bridge, a bond or the like, maybe in another network namespace, which excludes ipvlan; free it or use another NIC"
    )]
    ParentBusy(#[source] netlink::Error),
    /// The kernel has no ipvlan.
    #[error(
        "this kernel has no ipvlan (CONFIG_IPVLAN, module ipvlan); load the module or use a kernel with it"
    )]
    NoIpvlan(#[source] netlink::Error),
}

impl Error {
    /// The field of the specification that is wrong, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::OwnNamespace(_) | Self::Netlink(netlink::Error::Namespace { .. }) => {
                Some("netns")
            }
            Self::InterfaceExists { .. } => Some("interface"),
            Self::ParentBusy(_) => Some("parent"),
            _ => None,
        }
    }
}

/// One step of wiring. The first one is undone by removing the interface, and that undoes the
/// others.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create(IpvlanFlags),
    Name,
    NoLinkLocal,
    Alias(String),
    Mtu(u32),
    Address(IpNet),
    Up,
    Gateway(IpAddr),
}

/// What is to be done for an endpoint, all of it known before the first step is taken.
#[derive(Debug)]
pub struct Plan {
    namespace: Namespace,
    interface: String,
    draft: String,
    netns: PathBuf,
    parent: u32,
    steps: Vec<Step>,
}

impl Plan {
    /// Plans the interface of an endpoint on a parent.
    pub fn new(record: &Record, parent: &Link, flags: IpvlanFlags) -> Result<Self, Error> {
        let spec = &record.spec;
        let namespace = Namespace::open(&spec.netns)?;
        if namespace.is_own()? {
            return Err(Error::OwnNamespace(spec.netns.clone()));
        }
        let mut steps =
            vec![Step::Create(flags), Step::Name, Step::NoLinkLocal, Step::Alias(alias(record))];
        steps.extend(spec.mtu.map(Step::Mtu));
        steps.extend(spec.addresses.iter().copied().map(Step::Address));
        steps.extend(record.link_local.map(|address| {
            let net = Ipv6Net::new(address, 64).unwrap_or(address.into());
            Step::Address(net.into())
        }));
        steps.push(Step::Up);
        steps.extend(spec.gateways.iter().copied().map(Step::Gateway));
        Ok(Self {
            namespace,
            interface: spec.interface.to_string(),
            draft: draft(record),
            netns: spec.netns.clone(),
            parent: parent.index,
            steps,
        })
    }

    /// Carries the plan out. What was done is undone if a step fails.
    pub async fn apply(&self, node: &Netlink) -> Result<(), Error> {
        let pod = self.namespace.connect()?;
        if pod.link_by_name(&self.interface).await?.is_some() {
            return Err(self.exists());
        }
        let mut index = 0;
        for step in &self.steps {
            let Err(error) = self.take(step, node, &pod, &mut index).await else { continue };
            if index != 0
                && let Err(undo) = pod.delete_link(index).await
            {
                tracing::warn!(interface = self.interface, error = %undo, "could not be undone");
            }
            return Err(error);
        }
        Ok(())
    }

    async fn take(
        &self,
        step: &Step,
        node: &Netlink,
        pod: &Netlink,
        index: &mut u32,
    ) -> Result<(), Error> {
        match step {
            Step::Create(flags) => {
                node.add_ipvlan(self.parent, &self.draft, &self.namespace, *flags)
                    .await
                    .map_err(|error| self.refused(error))?;
                let link = pod.link_by_name(&self.draft).await?;
                *index = link.ok_or_else(|| Error::Vanished(self.draft.clone()))?.index;
            }
            Step::Name => {
                let named = pod.set_name(*index, &self.interface).await;
                named.map_err(|error| self.refused(error))?;
            }
            Step::NoLinkLocal => pod.set_no_link_local(*index).await?,
            Step::Alias(alias) => pod.set_alias(*index, alias).await?,
            Step::Mtu(mtu) => pod.set_mtu(*index, *mtu).await?,
            Step::Address(net) => {
                if net.addr().is_ipv6() {
                    self.enable_ipv6()?;
                }
                pod.add_address(*index, *net).await?;
            }
            Step::Up => pod.set_up(*index).await?,
            Step::Gateway(gateway) => pod.add_default_route(*index, *gateway).await?,
        }
        Ok(())
    }

    /// Container runtimes switch IPv6 off in namespaces that they take for IPv4 only.
    fn enable_ipv6(&self) -> Result<(), Error> {
        let file = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.interface);
        self.namespace.run(|| std::fs::write(file, "0"))?.map_err(|source| Error::Ipv6 {
            interface: self.interface.clone(),
            netns: self.netns.clone(),
            source,
        })
    }

    fn refused(&self, error: netlink::Error) -> Error {
        match error.errno() {
            Some(nix::libc::EBUSY) => Error::ParentBusy(error),
            Some(nix::libc::EOPNOTSUPP) => Error::NoIpvlan(error),
            Some(nix::libc::EEXIST) => self.exists(),
            _ => error.into(),
        }
    }

    fn exists(&self) -> Error {
        Error::InterfaceExists { interface: self.interface.clone(), netns: self.netns.clone() }
    }
}

/// Whether the endpoint's interface is there, under its name.
pub async fn is_wired(record: &Record) -> Result<bool, Error> {
    let found = find(record).await?;
    Ok(found.is_some_and(|(_, link)| link.name == record.spec.interface.as_str()))
}

/// Sets how the endpoint's parent switches, through its child. Tells whether there was one.
pub async fn set_switching(record: &Record, flags: IpvlanFlags) -> Result<bool, Error> {
    match find(record).await? {
        Some((pod, link)) => {
            pod.set_ipvlan_flags(link.index, flags).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Removes the interface of an endpoint. An interface or a namespace that is gone is no error.
pub async fn unwire(record: &Record) -> Result<(), Error> {
    match find(record).await? {
        Some((pod, link)) => Ok(pod.delete_link(link.index).await?),
        None => Ok(()),
    }
}

/// The interface, if it is there and ours.
async fn find(record: &Record) -> Result<Option<(Netlink, Link)>, Error> {
    let namespace = match Namespace::open(&record.spec.netns) {
        Ok(namespace) => namespace,
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let pod = namespace.connect()?;
    let named = pod.link_by_name(record.spec.interface.as_str()).await?;
    let ours = |link: &Link| link.alias.as_deref() == Some(&alias(record));
    // A killed agent may have left it unnamed.
    let link = match named.filter(ours) {
        Some(link) => Some(link),
        None => pod.link_by_name(&draft(record)).await?,
    };
    Ok(link.filter(|link| link.kind == LinkKind::Ipvlan).map(|link| (pod, link)))
}

/// What the interface is called until it has its name: unique on the node, and not what anybody
/// else would choose.
fn draft(record: &Record) -> String {
    format!("np-{:x}", record.slot)
}

/// The mark that tells our interfaces from others'.
fn alias(record: &Record) -> String {
    format!("netpath:{}", record.spec.name)
}
