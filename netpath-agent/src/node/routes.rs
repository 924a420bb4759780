//! Making, removing and listing routes at runtime.

use ipnet::IpNet;

use super::{Error, Node, RouteEntry, policy};
use crate::{
    api::types::{Added, Route},
    route::{self, RouteSpec, Table, key},
    rule::RuleSpec,
    store::Change,
};

impl Node {
    /// The routes, of one table or all, by table and prefix.
    pub(super) fn list_routes(&self, table: Option<Table>) -> Vec<Route> {
        self.state
            .routes()
            .filter(|entry| table.is_none_or(|table| entry.spec.table == table))
            .map(show)
            .collect()
    }

    /// The rules of the configuration, in its order.
    pub(super) fn list_rules(&self) -> Vec<RuleSpec> {
        self.config.rules.clone()
    }

    /// Makes a route. The same one again is no error.
    pub(super) async fn add_route(&mut self, spec: RouteSpec) -> Result<Added<Route>, Error> {
        spec.check()?;
        self.config.check_next_hops(&spec.via)?;
        let RouteSpec { table, prefix, .. } = spec;
        if policy::is_taken(&self.config, table.0) {
            return Err(Error::TableTaken(table));
        }
        if let Some(via) = spec.via.iter().find(|via| self.state.host.contains(via)) {
            return Err(route::Invalid::ViaIsNode(*via).into());
        }
        if let Some(entry) = self.state.route(table, prefix) {
            return if entry.spec == spec {
                Ok(Added { created: false, item: show(entry) })
            } else {
                Err(Error::RouteTaken { prefix, table })
            };
        }
        let entry = RouteEntry { spec: spec.clone(), configured: false };
        let item = show(&entry);
        self.state.insert_route(entry);
        if let Err(error) = self.put(&spec).await {
            self.state.remove_route(table, prefix);
            self.follow(table, prefix)?;
            return Err(error);
        }
        tracing::info!(%table, %prefix, path = item.spec.path.name(), "route added");
        Ok(Added { created: true, item })
    }

    /// Removes a route that was added at runtime.
    pub(super) async fn remove_route(
        &mut self,
        table: Table,
        prefix: IpNet,
    ) -> Result<Route, Error> {
        let entry = self.state.route(table, prefix).ok_or(Error::NoRoute { prefix, table })?;
        if entry.configured {
            return Err(Error::RouteConfigured { prefix, table });
        }
        let (removed, spec) = (show(entry), entry.spec.clone());
        self.journal.write(vec![Change::RemoveRoute(table, prefix)]).await?;
        self.state.remove_route(table, prefix);
        self.follow(table, prefix)?;
        self.blind(&spec).await?;
        tracing::info!(%table, %prefix, "route removed");
        Ok(removed)
    }

    /// Writes a new route to the map, which is the one that may be full, to its mirror and down.
    async fn put(&mut self, spec: &RouteSpec) -> Result<(), Error> {
        self.follow(spec.table, spec.prefix)?;
        self.reflect(spec).await?;
        let written = self.journal.write(vec![Change::PutRoute(spec.clone())]).await;
        if written.is_err() {
            self.blind(spec).await?;
        }
        written
    }

    /// Brings what depends on a route in line: the prefixes of the map that it concerns, the flag of
    /// an endpoint that a route for exactly its address overrides, and the node's flag that some
    /// prefix is dropped.
    fn follow(&mut self, table: Table, prefix: IpNet) -> Result<(), Error> {
        for (table, prefix) in self.state.concerned(table, prefix) {
            match self.state.map_route(table, prefix) {
                Some((key, route)) => self.datapath.put_route(&key, &route)?,
                None => self.datapath.remove_route(&key(table, prefix))?,
            }
        }
        if prefix.prefix_len() == prefix.max_prefix_len()
            && self.state.entry(prefix.addr()).is_some()
        {
            self.write(prefix.addr())?;
        }
        self.set_node()
    }
}

fn show(entry: &RouteEntry) -> Route {
    let origin = if entry.configured { "config" } else { "runtime" };
    Route { spec: entry.spec.clone(), origin: origin.to_owned() }
}
