//! Removing a pod's interface.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Error, Record, nic_mark, settle_nic,
    wiring::{alias, draft},
};
use crate::netlink::{Link, Namespace, Netlink, Visit};

/// How long a namespace that was deleted may keep its pod's addresses and its NIC: the kernel takes it
/// apart when it finds the time, and ipvlan lets only one of a parent's children have an address.
pub(super) const LEAVING: Duration = Duration::from_secs(5);
pub(super) const RETRY: Duration = Duration::from_millis(20);

/// Removes the interface of an endpoint; a NIC of its own goes back. An interface or a namespace that
/// is gone is no error.
pub async fn unwire(record: &Record) -> Result<(), Error> {
    take_out(record).await?;
    let Some(nic) = &record.nic else { return Ok(()) };
    let (home, start) = (Netlink::connect()?, Instant::now());
    // With its namespace it comes when the kernel finds the time.
    while !settle_nic(record, &home).await? && home.link_by_name(&nic.name).await?.is_none() {
        if start.elapsed() > LEAVING {
            tracing::warn!(nic = nic.name, "it did not come back; it may be unplugged");
            break;
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}

async fn take_out(record: &Record) -> Result<(), Error> {
    let Some(namespace) = open(&record.spec.netns, record.namespace)? else { return Ok(()) };
    let (alias, draft, kind) = (alias(record), draft(record), record.attachment.kind());
    let (nic, mark) = (record.nic.clone(), nic_mark(record));
    namespace
        .visit(async move |Visit { there, .. }| {
            if let Some(nic) = &nic {
                let links = there.links().await?;
                let marked = links.iter().find(|link| link.alias.as_ref() == Some(&mark));
                if let Some(link) = marked {
                    nic.leave(&there, link.index).await?;
                }
            }
            // Its end of a veth pair takes the node's with it. A killed agent may have left it unnamed.
            let ours = |link: &Link| link.alias.as_ref() == Some(&alias) || link.name == draft;
            for link in there.links().await? {
                if link.kind == kind && ours(&link) {
                    there.delete_link(link.index).await?;
                }
            }
            Ok(())
        })
        .await?
}

/// The namespace, if it is still there and still the same.
fn open(path: &Path, number: Option<u32>) -> Result<Option<Namespace>, Error> {
    match Namespace::open(path) {
        Ok(namespace) => {
            let same = number.is_none() || number == Some(namespace.number()?);
            Ok(same.then_some(namespace))
        }
        Err(error) if error.errno() == Some(nix::libc::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
