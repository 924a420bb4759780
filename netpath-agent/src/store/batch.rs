//! Several changes in one transaction.

use super::{ENDPOINTS, Error, ROUTES, Store, route_key};
use crate::{
    endpoint::Record,
    name::EndpointName,
    route::{RouteSpec, Table},
};

/// A change of the store.
#[derive(Clone, Debug)]
pub enum Change {
    /// Keep an endpoint, in place of the one with the same name.
    PutEndpoint(Box<Record>),
    /// Forget an endpoint.
    RemoveEndpoint(EndpointName),
    /// Keep a route, in place of the one with the same table and prefix.
    PutRoute(RouteSpec),
    /// Forget a route.
    RemoveRoute(Table, ipnet::IpNet),
}

impl Store {
    /// Makes changes in their order, all or none; they are on the disk when this returns.
    pub fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let value = |table, key: String, value: Result<Vec<u8>, serde_json::Error>| {
            value.map_err(|source| Error::Value { path: self.path.clone(), table, key, source })
        };
        let mut endpoints = Vec::new();
        let mut routes = Vec::new();
        for change in changes {
            match change {
                Change::PutEndpoint(record) => {
                    let name = record.spec.name.to_string();
                    let bytes = value("endpoints", name.clone(), serde_json::to_vec(record))?;
                    endpoints.push((name, Some(bytes)));
                }
                Change::RemoveEndpoint(name) => endpoints.push((name.to_string(), None)),
                Change::PutRoute(route) => {
                    let key = route_key(route.table, route.prefix);
                    let bytes = value("routes", key.clone(), serde_json::to_vec(route))?;
                    routes.push((key, Some(bytes)));
                }
                Change::RemoveRoute(table, prefix) => {
                    routes.push((route_key(*table, *prefix), None));
                }
            }
        }
        self.write(|transaction| {
            for (definition, rows) in [(ENDPOINTS, &endpoints), (ROUTES, &routes)] {
                let mut table = transaction.open_table(definition)?;
                for (key, value) in rows {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            Ok(())
        })
    }
}
