//! What must survive the agent: endpoints, their addresses, the routes and Services added at runtime, and
//! what the node has of the cluster.
//!
//! An embedded transactional store (redb): a crash at any time leaves either the state before a
//! change or the one after it. Keys are names, values JSON, so that a later version can add fields.

mod batch;
mod lock;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _,
};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{batch::Change, lock::Lock};
use crate::{
    endpoint::Record,
    ipam::Allocation,
    kube::{
        fixed::Hold,
        pods::Said,
        pools::{Share, Shares},
    },
    route::{RouteSpec, Table},
    service::ServiceSpec,
};

/// A table: names and JSON.
type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

const ENDPOINTS: Definition = TableDefinition::new("endpoints");
const ROUTES: Definition = TableDefinition::new("routes");
const ALLOCATIONS: Definition = TableDefinition::new("allocations");
const SERVICES: Definition = TableDefinition::new("services");
const CLUSTER_SERVICES: Definition = TableDefinition::new("cluster_services");
const CLUSTER_POOLS: Definition = TableDefinition::new("cluster_pools");
const CLUSTER_FIXED: Definition = TableDefinition::new("cluster_fixed");
const CLUSTER_PODS: Definition = TableDefinition::new("cluster_pods");

const TABLES: [Definition; 8] = [
    ENDPOINTS,
    ROUTES,
    ALLOCATIONS,
    SERVICES,
    CLUSTER_SERVICES,
    CLUSTER_POOLS,
    CLUSTER_FIXED,
    CLUSTER_PODS,
];

/// The name of the database below the state directory.
const FILE: &str = "netpath.redb";

/// Its name until it is whole.
const NEW_FILE: &str = "netpath.redb.new";

/// Memory that the database may use for pages, in bytes; redb's default is 1 GiB.
const CACHE: usize = 1 << 20;

/// The store can not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory can not be made or used.
    #[error("state directory {}: can not be used", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent has the lock.
    #[error("state directory {}: another netpath-agent is running on this node; stop it first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The database failed.
    #[error("store {}: failed", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A value that this version does not understand.
    #[error("store {}: {key:?} in {table} is not understood; it was written by another version of netpath-agent", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Services, by who said that they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Somebody, at runtime.
    pub runtime: Vec<ServiceSpec>,
    /// The Kubernetes cluster, when it was last heard.
    pub cluster: Vec<ServiceSpec>,
}

/// The open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

impl Store {
    /// Opens the store of a state directory, and creates it if it is not there. The lock is proof
    /// that nobody else has it open.
    pub fn open(lock: &Lock) -> Result<Self, Error> {
        let path = lock.directory().join(FILE);
        create(lock.directory(), &path)?;
        let database = Database::builder().set_cache_size(CACHE).open(&path);
        let store = match database {
            Ok(database) => Self { database, path },
            Err(source) => {
                return Err(Error::Database { path, source: Box::new(source.into()) });
            }
        };
        store.write(|transaction| {
            for table in TABLES {
                transaction.open_table(table)?;
            }
            Ok(())
        })?;
        Ok(store)
    }

    /// Removes the store of a state directory, and the directory if nothing else is in it.
    pub fn remove(directory: &Path) -> Result<(), Error> {
        let error = |source| Error::Directory { path: directory.to_owned(), source };
        for file in [FILE, NEW_FILE, lock::FILE] {
            match fs::remove_file(directory.join(file)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(error(source));
                }
                _ => {}
            }
        }
        match fs::remove_dir(directory) {
            Err(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(error(source))
            }
            _ => Ok(()),
        }
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> Result<Vec<Record>, Error> {
        self.all(ENDPOINTS)
    }

    /// Keeps an endpoint, in place of the one with the same name.
    pub fn put_endpoint(&self, record: &Record) -> Result<(), Error> {
        self.put(ENDPOINTS, record.spec.name.as_str(), record)
    }

    /// Forgets an endpoint.
    pub fn remove_endpoint(&self, name: &str) -> Result<(), Error> {
        self.delete(ENDPOINTS, name)
    }

    /// All routes that were added at runtime.
    pub fn routes(&self) -> Result<Vec<RouteSpec>, Error> {
        self.all(ROUTES)
    }

    /// Keeps a route, in place of the one with the same table and prefix.
    pub fn put_route(&self, route: &RouteSpec) -> Result<(), Error> {
        self.put(ROUTES, &route_key(route.table, route.prefix), route)
    }

    /// Forgets a route.
    pub fn remove_route(&self, table: Table, prefix: ipnet::IpNet) -> Result<(), Error> {
        self.delete(ROUTES, &route_key(table, prefix))
    }

    /// All addresses that are not free.
    pub fn allocations(&self) -> Result<Vec<Allocation>, Error> {
        self.all(ALLOCATIONS)
    }

    /// All Services that were added at runtime, and those of the cluster.
    pub fn services(&self) -> Result<Stored, Error> {
        Ok(Stored { runtime: self.all(SERVICES)?, cluster: self.all(CLUSTER_SERVICES)? })
    }

    /// What this node has of the pools of the cluster.
    pub fn shares(&self) -> Result<Shares, Error> {
        let all: Vec<Share> = self.all(CLUSTER_POOLS)?;
        Ok(all.into_iter().map(|share| (share.pool.clone(), share)).collect())
    }

    /// The fixed addresses that this node has.
    pub fn holds(&self) -> Result<Vec<Hold>, Error> {
        self.all(CLUSTER_FIXED)
    }

    /// What the cluster said of pods that are here.
    pub fn said(&self) -> Result<Vec<Said>, Error> {
        self.all(CLUSTER_PODS)
    }

    fn all<T: DeserializeOwned>(&self, definition: Definition) -> Result<Vec<T>, Error> {
        let rows = self.read(definition).map_err(|source| self.error(source))?;
        rows.into_iter()
            .map(|(key, value)| {
                serde_json::from_slice(&value).map_err(|source| Error::Value {
                    path: self.path.clone(),
                    table: definition.name().to_owned(),
                    key,
                    source,
                })
            })
            .collect()
    }

    fn put<T: Serialize>(&self, definition: Definition, key: &str, value: &T) -> Result<(), Error> {
        let value = serde_json::to_vec(value).map_err(|source| Error::Value {
            path: self.path.clone(),
            table: definition.name().to_owned(),
            key: key.to_owned(),
            source,
        })?;
        self.write(|transaction| {
            transaction.open_table(definition)?.insert(key, value.as_slice())?;
            Ok(())
        })
    }

    fn delete(&self, definition: Definition, key: &str) -> Result<(), Error> {
        self.write(|transaction| {
            transaction.open_table(definition)?.remove(key)?;
            Ok(())
        })
    }

    fn read(&self, definition: Definition) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let table = self.database.begin_read()?.open_table(definition)?;
        table
            .iter()?
            .map(|row| {
                let (key, value) = row?;
                Ok((key.value().to_owned(), value.value().to_vec()))
            })
            .collect()
    }

    /// One transaction, on disk when this returns.
    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let run = || {
            let transaction = self.database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|source| self.error(source))
    }

    fn error(&self, source: redb::Error) -> Error {
        Error::Database { path: self.path.clone(), source: Box::new(source) }
    }
}

/// Creates the database if it is not there. redb writes the mark that it opens a file by last, so a
/// file of half a creation would never open: it gets its name when it is whole. The name itself is
/// on the disk when its directory is.
fn create(directory: &Path, path: &Path) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    let error = |source| Error::Directory { path: directory.to_owned(), source };
    let new = directory.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    let database = Database::create(&new).map(drop);
    database
        .map_err(|source| Error::Database { path: new.clone(), source: Box::new(source.into()) })?;
    fs::rename(&new, path).map_err(error)?;
    for directory in directory.ancestors().take(2).filter(|path| path.is_absolute()) {
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(error)?;
    }
    Ok(())
}

fn route_key(table: Table, prefix: ipnet::IpNet) -> String {
    format!("{table} {prefix}")
}

#[cfg(test)]
mod tests;
