//! Routes of endpoints' own tables in the kernel's tables of the same numbers, for what the host stack
//! forwards for such endpoints.
//!
//! | path | in the kernel |
//! | --- | --- |
//! | router, with next hops | by those, on the parent in whose subnets the first is, else on the first |
//! | drop | `blackhole` |
//! | router without a next hop, kernel, host, local | `throw`: as if the table did not have it |
//!
//! A `throw` ends the search in the table, as the prefix does in the map: what comes next are the rules
//! and tables of the parents, which know the ways to the wire and to the node. Routes of the main table
//! have no mirror: there the host has its own.

use netpath_common::Path;

use super::{Error, Node, State, policy};
use crate::{
    config::Config,
    netlink::{TableRoute, Way},
    route::{RouteSpec, Table},
};

/// The mirror of a route, as far as it has one, and its parent is there.
#[must_use]
pub(super) fn of(config: &Config, state: &State, route: &RouteSpec) -> Option<TableRoute> {
    let RouteSpec { table, prefix, path, via } = route;
    if *table == Table::MAIN || policy::is_taken(config, table.0) {
        return None;
    }
    let way = match (path, via.first()) {
        (Path::Drop, _) => Way::Blackhole,
        (Path::Router, Some(first)) => {
            let parent = state.parents.get(&config.parent_of(*first)?.name)?;
            // A device that is down takes no routes.
            let index = parent.link.up.then_some(parent.link.index)?;
            Way::Device { index, gateways: via.iter().copied().collect(), source: None }
        }
        (Path::Router | Path::Kernel | Path::Host | Path::Local, _) => Way::Throw,
    };
    Some(TableRoute { table: table.0, destination: *prefix, priority: 0, way })
}

impl Node {
    /// Adds the mirror of a route.
    pub(super) async fn reflect(&self, route: &RouteSpec) -> Result<(), Error> {
        if let Some(mirror) = of(&self.config, &self.state, route) {
            self.netlink.add_table_route(&mirror).await?;
        }
        Ok(())
    }

    /// Removes it.
    pub(super) async fn blind(&self, route: &RouteSpec) -> Result<(), Error> {
        if let Some(mirror) = of(&self.config, &self.state, route) {
            self.netlink.delete_table_route(&mirror).await?;
        }
        Ok(())
    }
}
