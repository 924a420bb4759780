//! VLANs that are parents: made where they are missing, and removed when nobody wants them.

use nix::libc;

use super::locate::{is_vlan, locate, lower};
use crate::{
    config::{self, Vlan},
    name::InterfaceName,
    netlink::{Link, LinkKind, Netlink},
    node::{Error, ParentProblem},
};

/// What the alias of a VLAN that netpath made begins with; the parent's name follows.
const MARK: &str = "netpath:parent:";

/// The devices that are there, VLANs among them.
#[derive(Debug, Default)]
pub(in crate::node) struct Ensured {
    /// All of them.
    pub(in crate::node) links: Vec<Link>,
    /// The parents whose VLANs had to be made.
    pub(in crate::node) made: Vec<InterfaceName>,
    /// Everything that failed: one VLAN does not keep the others from being made.
    pub(in crate::node) errors: Vec<Error>,
}

/// Makes the configured VLANs as far as the devices that they are on are there, and removes those of
/// ours that are no longer configured. One that somebody else made is used as it is.
pub(in crate::node) async fn ensure(
    configured: &[config::Parent],
    netlink: &Netlink,
) -> Result<Ensured, Error> {
    let mut links = netlink.links().await?;
    let (mut made, mut errors, mut changed) = (Vec::new(), Vec::new(), false);
    let strays: Vec<u32> = links
        .iter()
        .filter(|link| is_stray(link, configured, &links))
        .map(|link| link.index)
        .collect();
    for stray in strays {
        netlink.delete_link(stray).await?;
        links.retain(|link| link.index != stray);
        changed = true;
    }
    for parent in configured {
        let Some(vlan) = &parent.vlan else { continue };
        let Some(lower) = lower(vlan, configured, &links) else { continue };
        let found = locate(parent, configured, &links);
        if found.is_some_and(|link| !is_ours(link, parent, &draft(vlan, lower))) {
            continue;
        }
        match make(parent, vlan, (found, lower), &links, netlink).await {
            Ok(did) => {
                changed |= did;
                made.extend(found.is_none().then(|| parent.name.clone()));
            }
            Err(error) => errors.push(error),
        }
    }
    if changed {
        links = netlink.links().await?;
    }
    Ok(Ensured { links, made, errors })
}

/// Removes the VLANs that netpath made, and names them.
pub(in crate::node) async fn remove(netlink: &Netlink) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for link in netlink.links().await?.into_iter().filter(|link| mark(link).is_some()) {
        netlink.delete_link(link.index).await?;
        removed.push(link.name);
    }
    Ok(removed)
}

/// Makes a VLAN what it should be, and tells whether it was not.
async fn make(
    parent: &config::Parent,
    vlan: &Vlan,
    (found, lower): (Option<&Link>, &Link),
    links: &[Link],
    netlink: &Netlink,
) -> Result<bool, Error> {
    let name = parent.name.as_str();
    let created = match found {
        Some(_) => None,
        None if links.iter().any(|link| link.name == name) => {
            let problem = ParentProblem::NameTaken { on: vlan.on.clone(), id: vlan.id };
            return Err(Error::parent(parent, problem));
        }
        None => Some(create(parent, vlan, lower, netlink).await?),
    };
    let Some(link) = created.as_ref().or(found) else { return Ok(false) };
    let mut changed = created.is_some();
    if mark(link) != Some(name) {
        netlink.set_name(link.index, name, &format!("{MARK}{name}")).await?;
        tracing::info!(parent = name, on = lower.name, id = vlan.id, "made the VLAN");
        changed = true;
    }
    if link.mtu != lower.mtu {
        netlink.set_mtu(link.index, lower.mtu).await?;
        changed = true;
    }
    // It can not be up without the device that it is on.
    if !link.up && lower.up {
        netlink.set_up(link.index).await?;
        changed = true;
    }
    Ok(changed)
}

/// Creates a VLAN that has no mark yet.
async fn create(
    parent: &config::Parent,
    vlan: &Vlan,
    lower: &Link,
    netlink: &Netlink,
) -> Result<Link, Error> {
    let draft = draft(vlan, lower);
    netlink.add_vlan(lower.index, &draft, vlan.id).await.map_err(|source| {
        match source.errno() {
            Some(libc::EOPNOTSUPP) => {
                Error::NoVlans { name: parent.name.clone(), source: Box::new(source) }
            }
            _ => source.into(),
        }
    })?;
    netlink.link_by_name(&draft).await?.ok_or_else(|| {
        let problem = ParentProblem::NotMade { on: vlan.on.clone(), id: vlan.id };
        Error::parent(parent, problem)
    })
}

/// What a VLAN is called until it has its name and its mark: by that, one is known that a killed agent
/// left on the way.
fn draft(vlan: &Vlan, lower: &Link) -> String {
    format!("np-v{:x}-{:x}", lower.index, vlan.id)
}

/// The parent that a device was made for.
fn mark(link: &Link) -> Option<&str> {
    let alias = link.alias.as_deref().filter(|_| link.kind == LinkKind::Vlan)?;
    alias.strip_prefix(MARK)
}

/// Whether netpath made a parent's VLAN.
fn is_ours(link: &Link, parent: &config::Parent, draft: &str) -> bool {
    mark(link) == Some(parent.name.as_str()) || link.name == draft
}

/// Whether netpath made a device that is not configured any more. As long as nobody knows where a
/// parent's VLAN should be, it may stay.
fn is_stray(link: &Link, configured: &[config::Parent], links: &[Link]) -> bool {
    let Some(name) = mark(link) else { return false };
    let parent = configured.iter().find(|parent| parent.name.as_str() == name);
    match parent.and_then(|parent| parent.vlan.as_ref()) {
        Some(vlan) => {
            lower(vlan, configured, links).is_some_and(|lower| !is_vlan(link, vlan, lower))
        }
        None => true,
    }
}
