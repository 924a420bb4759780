//! Several changes in one transaction.

use std::{net::IpAddr, sync::Arc};

use redb::TableHandle as _;
use serde::Serialize;

use super::{
    ALLOCATIONS, CLUSTER_FIXED, CLUSTER_PODS, CLUSTER_POOLS, CLUSTER_SERVICES, Definition,
    ENDPOINTS, Error, ROUTES, SERVICES, Store, route_key,
};
use crate::{
    endpoint::Record,
    ipam::{Allocation, Changes},
    kube::{
        fixed::Hold,
        pods::Said,
        pools::{Share, Shares},
        types::Owner,
    },
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
    /// Keep fixed addresses that this node has, in place of those of the same owner.
    PutHold(Box<Hold>),
    /// Forget an owner's fixed addresses.
    RemoveHold(Owner),
    /// Keep what the cluster said of a pod, in place of what it had said before.
    PutSaid(Box<Said>),
    /// Forget what it said of the pod of a UID.
    RemoveSaid(String),
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

/// A row to write, or to remove.
type Row = (Definition, String, Option<Vec<u8>>);

impl Store {
    /// Makes changes in their order, all or none; they are on the disk when this returns.
    pub fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let mut rows = Vec::new();
        for change in changes {
            self.rows(change, &mut rows)?;
        }
        // Tables do not depend on each other: each is opened once.
        rows.sort_by(|(one, ..), (other, ..)| one.name().cmp(other.name()));
        self.write(|transaction| {
            for rows in rows.chunk_by(|(one, ..), (other, ..)| one.name() == other.name()) {
                let mut table = transaction.open_table(rows[0].0)?;
                for (_, key, value) in rows {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            Ok(())
        })
    }

    /// What a change writes.
    fn rows(&self, change: &Change, rows: &mut Vec<Row>) -> Result<(), Error> {
        match change {
            Change::PutEndpoint(record) => {
                rows.push(self.row(ENDPOINTS, record.spec.name.to_string(), record)?);
            }
            Change::RemoveEndpoint(name) => rows.push((ENDPOINTS, name.to_string(), None)),
            Change::PutRoute(route) => {
                rows.push(self.row(ROUTES, route_key(route.table, route.prefix), route)?);
            }
            Change::RemoveRoute(table, prefix) => {
                rows.push((ROUTES, route_key(*table, *prefix), None));
            }
            Change::PutAllocation(row) => {
                rows.push(self.row(ALLOCATIONS, row.address.to_string(), row)?);
            }
            Change::RemoveAllocation(address) => {
                rows.push((ALLOCATIONS, address.to_string(), None));
            }
            Change::PutService(held) => {
                let of_cluster = held.origin == Origin::Kubernetes;
                let (own, other) = if of_cluster {
                    (CLUSTER_SERVICES, SERVICES)
                } else {
                    (SERVICES, CLUSTER_SERVICES)
                };
                let key = held.spec.name.to_string();
                rows.push(self.row(own, key.clone(), &held.spec)?);
                rows.push((other, key, None));
            }
            Change::RemoveService(name) => {
                rows.push((SERVICES, name.to_string(), None));
                rows.push((CLUSTER_SERVICES, name.to_string(), None));
            }
            Change::PutShare(share) => {
                rows.push(self.row(CLUSTER_POOLS, share.pool.clone(), share)?);
            }
            Change::RemoveShare(pool) => rows.push((CLUSTER_POOLS, pool.clone(), None)),
            Change::PutHold(hold) => {
                rows.push(self.row(CLUSTER_FIXED, hold.owner.to_string(), hold)?);
            }
            Change::RemoveHold(owner) => rows.push((CLUSTER_FIXED, owner.to_string(), None)),
            Change::PutSaid(said) => {
                rows.push(self.row(CLUSTER_PODS, said.uid.clone(), said)?);
            }
            Change::RemoveSaid(uid) => rows.push((CLUSTER_PODS, uid.clone(), None)),
        }
        Ok(())
    }

    fn row(&self, table: Definition, key: String, value: &impl Serialize) -> Result<Row, Error> {
        match serde_json::to_vec(value) {
            Ok(value) => Ok((table, key, Some(value))),
            Err(source) => {
                let name = table.name().to_owned();
                Err(Error::Value { path: self.path.clone(), table: name, key, source })
            }
        }
    }
}
