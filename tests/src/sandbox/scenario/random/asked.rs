//! What the node was asked for: pods, routes and rules, and which table is asked for an address.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use netpath_common::{Path, route::TABLE_MAIN};

use crate::sandbox::{address::Dual, agent::Settings};

/// Tables that endpoints and routes are of.
pub(super) const TABLES: [u32; 4] = [TABLE_MAIN, TABLE_MAIN, 100, 200];

/// Rules of the configuration.
pub(super) const RULES: &str = r#"
[[rule]]
from = "10.0.11.64/26"
table = 100
[[rule]]
from = "fd00:11::/64"
table = 200
[[rule]]
to = "10.60.1.0/24"
table = 200
[[rule]]
to = "fd00:60:2::/48"
table = 100
[[rule]]
mark = 16
table = 200
"#;
const BY_SOURCE: [(&str, u32); 2] = [("10.0.11.64/26", 100), ("fd00:11::/64", 200)];
pub(super) const BY_DESTINATION: [(&str, u32); 2] =
    [("10.60.1.0/24", 200), ("fd00:60:2::/48", 100)];

/// A pod as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) segment: usize,
    pub(super) attachment: &'static str,
    pub(super) address: Dual,
    pub(super) table: u32,
}

impl Wanted {
    /// The table of one of its addresses.
    pub(super) fn table_of(&self, address: IpAddr) -> u32 {
        let by = BY_SOURCE.iter().find(|(prefix, _)| holds(prefix, address));
        match (self.table, by) {
            (TABLE_MAIN, Some((_, table))) => *table,
            (own, _) => own,
        }
    }
}

/// Where a route was asked to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) path: Path,
    /// The next hops, and the segment that they are on.
    pub(super) via: Vec<IpAddr>,
    pub(super) segment: usize,
}

/// By table and prefix.
pub(super) type Routes = BTreeMap<(u32, String), Way>;

/// The routes of the configuration.
pub(super) fn configured() -> Routes {
    let kernel = Way { path: Path::Kernel, via: Vec::new(), segment: 0 };
    let routes = Settings::default().routes.into_iter();
    routes.map(|(prefix, _)| ((TABLE_MAIN, prefix), kernel.clone())).collect()
}

pub(super) fn holds(prefix: &str, address: IpAddr) -> bool {
    prefix.parse::<IpNet>().is_ok_and(|prefix| prefix.contains(&address))
}

pub(super) fn table_name(table: u32) -> String {
    if table == TABLE_MAIN { "main".to_owned() } else { table.to_string() }
}
