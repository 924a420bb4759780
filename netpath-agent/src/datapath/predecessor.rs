//! Taking over from an agent of another version, newer or older.
//!
//! Its maps and links are pinned in the directory of its ABI version. What the store knows is
//! written to this version's own maps. What only the maps know (flows, counters) is shared with the
//! predecessor's programs until they are replaced, if the layout is the same; so nothing is lost
//! that they still record. A map whose values change their meaning but not their size must change
//! its name. The links are taken over with the programs in them, which are then replaced in one
//! step; filters have the same place in every version.

use std::fs;

use netpath_common::Parent;

use super::{
    Datapath, Error,
    load::{self, Shape},
    pins::{self, Pins},
};

/// The maps whose content only the programs know.
const KEPT: [&str; 4] = ["flows", "endpoint_flows", "counters", "endpoint_counters"];

/// Takes over the maps that only the programs write, before this version's are made.
pub(super) fn take_over_maps(own: &Pins, shapes: &[Shape]) -> Result<(), Error> {
    for other in own.others() {
        for shape in shapes.iter().filter(|shape| KEPT.contains(&shape.name)) {
            let (from, to) = (other.map(shape.name), own.map(shape.name));
            if to.exists() || !from.exists() {
                continue;
            }
            match load::check(&other, shape) {
                Ok(()) => fs::hard_link(&from, &to)
                    .map_err(|source| Error::Pin { path: to.clone(), source })?,
                Err(error) => tracing::warn!(
                    map = shape.name,
                    reason = %error,
                    "the other version's content does not fit this one; it starts empty"
                ),
            }
        }
    }
    Ok(())
}

impl Datapath {
    /// Takes over the links of another version, and what it noted about its parents.
    pub fn take_over_links(&mut self) -> Result<(), Error> {
        for other in self.pins.others() {
            tracing::info!(from = %other.directory().display(), "taking over from another version");
            for entry in fs::read_dir(other.links()).into_iter().flatten().flatten() {
                let to = self.pins.links().join(entry.file_name());
                if !to.exists() {
                    fs::rename(entry.path(), &to)
                        .map_err(|source| Error::Pin { path: to.clone(), source })?;
                }
            }
            for (ifindex, parent) in noted(&other) {
                self.put_parent(ifindex, &parent)?;
            }
        }
        Ok(())
    }

    /// Removes what other versions left, once nothing of it is used any more.
    pub fn remove_others(&self) {
        for other in self.pins.others() {
            for error in other.remove() {
                tracing::warn!(%error, "what another version left can not be removed");
            }
        }
    }
}

/// The parents of another version, if it knew them in the same layout.
fn noted(other: &Pins) -> Vec<(u32, Parent)> {
    let shape = load::parents();
    if load::check(other, &shape).is_err() {
        return Vec::new();
    }
    pins::parents(other)
}
