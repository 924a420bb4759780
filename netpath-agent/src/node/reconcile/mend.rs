//! Making the kernel's tables what they should be.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use crate::node::{
    Error, Node,
    tables::{Changes, Tables},
};

impl Node {
    /// Puts right what differs.
    pub(super) fn mend_tables(&mut self) -> Result<(), Error> {
        let repaired = self.repair_tables()?;
        if repaired > 0 {
            tracing::warn!(repaired, "the kernel's tables differed from the desired state");
            self.count_repairs("map entry", repaired as u64);
        }
        Ok(())
    }

    /// Whether the kernel's tables are otherwise than they should be. Neither side is made a table
    /// of: this is done all the time.
    pub(super) fn tables_differ(&self) -> Result<bool, Error> {
        let (mut right, mut wrong) = (0, 0);
        let mut count = |is_right| if is_right { right += 1 } else { wrong += 1 };
        self.datapath.each_endpoint(|address, endpoint| {
            count(self.state.entry(address.into()) == Some(endpoint));
        });
        self.datapath.each_namespace(|namespace| count(self.state.is_pod(namespace)))?;
        let mut expected = self.state.entry_count() + self.state.namespaces().len();
        for (key, route) in self.state.map_routes() {
            expected += 1;
            count(self.datapath.route(&key)? == Some(route));
        }
        Ok(wrong > 0 || right != expected)
    }

    /// Makes the kernel's tables match, and tells how many entries differed. Entries that are
    /// right are not touched, so nothing is lost on the way.
    pub(in crate::node) fn repair_tables(&mut self) -> Result<usize, Error> {
        let mut actual = Tables {
            endpoints: HashMap::new(),
            namespaces: BTreeSet::new(),
            routes: self.datapath.routes()?.collect(),
        };
        self.datapath.each_endpoint(|address, endpoint| {
            actual.endpoints.insert(address, endpoint);
        });
        self.datapath.each_namespace(|namespace| {
            actual.namespaces.insert(namespace);
        })?;
        let changes = Changes::between(&actual, &self.state.tables());
        self.apply(&changes)?;
        Ok(changes.len())
    }

    /// Endpoints come before routes, and additions before removals: a packet in between finds
    /// the old answer or the new one.
    pub(in crate::node) fn apply(&mut self, changes: &Changes) -> Result<(), Error> {
        let Changes {
            put_endpoints,
            remove_endpoints,
            put_namespaces,
            remove_namespaces,
            put_routes,
            remove_routes,
        } = changes;
        for namespace in put_namespaces {
            self.datapath.put_namespace(*namespace)?;
        }
        for (address, endpoint) in put_endpoints {
            self.datapath.put_endpoint(*address, endpoint)?;
        }
        for (key, route) in put_routes {
            self.datapath.put_route(key, route)?;
        }
        for key in remove_routes {
            self.datapath.remove_route(key)?;
        }
        for address in remove_endpoints {
            self.datapath.remove_endpoint(address);
        }
        for namespace in remove_namespaces {
            self.datapath.remove_namespace(*namespace)?;
        }
        Ok(())
    }

    /// Writes the entry of one address.
    pub(in crate::node) fn write(&mut self, address: IpAddr) -> Result<(), Error> {
        let key = address.into();
        match self.state.entry(address) {
            Some(endpoint) => self.datapath.put_endpoint(key, &endpoint)?,
            None => self.datapath.remove_endpoint(&key),
        }
        Ok(())
    }
}
