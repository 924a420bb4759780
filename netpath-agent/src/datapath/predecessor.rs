//! Taking over from an agent of another version, newer or older.
//!
//! Its maps and links are pinned in the directory of its ABI version. What the store knows is
//! written to this version's own maps. What only the maps know (flows, counters) is shared with the
//! predecessor's programs until they are replaced, if the layout is the same; so nothing is lost
//! that they still record. A map whose values change their meaning but not their size must change
//! its name. Connections know backends by their places, so what they refer to goes with them, or neither
//! does. The links are taken over with the programs in them, which are then replaced in one
//! step; filters have the same place in every version.

use std::{fs, path::Path};

use aya::maps::MapData;
use netpath_common::Parent;

use super::{
    Datapath, Error,
    load::{self, Shape},
    pins::{self, Pins},
};

/// The maps whose content only the programs know.
const KEPT: [&str; 4] = ["flows", "endpoint_flows", "counters", "endpoint_counters"];

/// The maps of connections, which only the programs fill as well, and those that they refer to.
const TOGETHER: [&str; 7] = [
    "services",
    "service_slots",
    "backends",
    "service_sources",
    "affinities",
    "connections",
    "translated_sockets",
];

/// Takes over the maps that only the programs write, before this version's are made.
pub(super) fn take_over_maps(own: &Pins, shapes: &[Shape]) -> Result<(), Error> {
    for other in own.others() {
        take_over_together(own, &other, shapes)?;
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

/// Takes over all of [`TOGETHER`] or none.
fn take_over_together(own: &Pins, other: &Pins, shapes: &[Shape]) -> Result<(), Error> {
    if !TOGETHER.iter().any(|name| other.map(name).exists()) {
        return Ok(());
    }
    let mut wanted = shapes.iter().filter(|shape| TOGETHER.contains(&shape.name));
    let fits = wanted.try_for_each(|shape| {
        let (from, to) = (other.map(shape.name), own.map(shape.name));
        if !from.exists() {
            return Err(format!("it has no {}", shape.name));
        }
        // What an agent began that was ended in between is brought to its end.
        if to.exists() && !is_same(&from, &to) {
            return Err(format!("this version has {} already", shape.name));
        }
        load::check(other, shape).map_err(|error| error.to_string())
    });
    if let Err(reason) = fits {
        tracing::warn!(
            reason,
            "the other version's connections to Services do not fit this one; there are none at first"
        );
        return Ok(());
    }
    for name in TOGETHER {
        let (from, to) = (other.map(name), own.map(name));
        if !to.exists() {
            fs::hard_link(&from, &to).map_err(|source| Error::Pin { path: to, source })?;
        }
    }
    Ok(())
}

/// Whether two pins are of one map.
fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path| MapData::from_pin(path).and_then(|map| map.info()).map(|info| info.id());
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
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
