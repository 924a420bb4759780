//! Several changes in one transaction.

use std::{net::IpAddr, sync::Arc};

use super::{
    ALLOCATIONS, CLUSTER_POOLS, CLUSTER_SERVICES, ENDPOINTS, Error, ROUTES, SERVICES, Store,
    route_key,
};
use crate::{
    endpoint::Record,
    ipam::{Allocation, Changes},
    kube::pools::{Share, Shares},
    name::EndpointName,
    route::{RouteSpec, Table},
    service::{
        ServiceName,
        registry::{Held, Origin},
    },
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
    /// Keep an allocation, in place of the one with the same address.
    PutAllocation(Box<Allocation>),
    /// Forget an allocation.
    RemoveAllocation(IpAddr),
    /// Keep a Service, in place of the one with the same name, as whose it is.
    PutService(Arc<Held>),
    /// Forget a Service.
    RemoveService(ServiceName),
    /// Keep what this node has of a pool of the cluster, in place of what it had.
    PutShare(Box<Share>),
    /// Forget a pool of the cluster.
    RemoveShare(String),
}

impl Change {
    /// What leads from some shares to others.
    pub fn shares(before: &Shares, after: &Shares) -> Vec<Self> {
        let gone = before.keys().filter(|pool| !after.contains_key(*pool));
        let new = after.values().filter(|share| before.get(&share.pool) != Some(*share));
        let put = new.map(|share| Self::PutShare(Box::new(share.clone())));
        put.chain(gone.cloned().map(Self::RemoveShare)).collect()
    }

    /// What ipam wants to be written.
    pub fn allocations(changes: Changes) -> impl Iterator<Item = Self> {
        let Changes { put, delete } = changes;
        let put = put.into_iter().map(|row| Self::PutAllocation(Box::new(row)));
        put.chain(delete.into_iter().map(Self::RemoveAllocation))
    }
}

impl Store {
    /// Makes changes in their order, all or none; they are on the disk when this returns.
    pub fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let value = |table, key: String, value: Result<Vec<u8>, serde_json::Error>| {
            value.map_err(|source| Error::Value { path: self.path.clone(), table, key, source })
        };
        let mut endpoints = Vec::new();
        let mut routes = Vec::new();
        let mut allocations = Vec::new();
        let mut services = Vec::new();
        let mut cluster_services = Vec::new();
        let mut cluster_pools = Vec::new();
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
                Change::PutAllocation(row) => {
                    let key = row.address.to_string();
                    let bytes = value("allocations", key.clone(), serde_json::to_vec(row))?;
                    allocations.push((key, Some(bytes)));
                }
                Change::RemoveAllocation(address) => allocations.push((address.to_string(), None)),
                Change::PutService(held) => {
                    let key = held.spec.name.to_string();
                    let bytes = value("services", key.clone(), serde_json::to_vec(&held.spec))?;
                    let of_cluster = held.origin == Origin::Kubernetes;
                    let (own, other) = if of_cluster {
                        (&mut cluster_services, &mut services)
                    } else {
                        (&mut services, &mut cluster_services)
                    };
                    own.push((key.clone(), Some(bytes)));
                    other.push((key, None));
                }
                Change::RemoveService(name) => {
                    services.push((name.to_string(), None));
                    cluster_services.push((name.to_string(), None));
                }
                Change::PutShare(share) => {
                    let key = share.pool.clone();
                    let bytes = value("cluster_pools", key.clone(), serde_json::to_vec(share))?;
                    cluster_pools.push((key, Some(bytes)));
                }
                Change::RemoveShare(pool) => cluster_pools.push((pool.clone(), None)),
            }
        }
        self.write(|transaction| {
            let tables = [
                (ENDPOINTS, &endpoints),
                (ROUTES, &routes),
                (ALLOCATIONS, &allocations),
                (SERVICES, &services),
                (CLUSTER_SERVICES, &cluster_services),
                (CLUSTER_POOLS, &cluster_pools),
            ];
            for (definition, rows) in tables {
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
