//! Checks that span several values of a well-formed file.

use std::{collections::HashMap, net::IpAddr, path::Path};

use netpath_common::route::TABLE_MAIN;
use tracing_subscriber::EnvFilter;

use super::{Agent, Capacity, Config, Datapath, Kubernetes, Log, Parent, Services, error::Problem};
use crate::{
    attachment::Attachment,
    ipam, masquerade,
    node::policy,
    route,
    rule::{self, RuleSpec},
    service::local,
};

/// The longest path that fits `sockaddr_un`, in bytes.
const SOCKET_PATH_MAX: usize = 107;

type Checked = Result<(), (String, Problem)>;

impl Config {
    /// The first problem found, with the path of its field.
    pub(super) fn check(&self) -> Checked {
        // Any number of seconds makes sense in ipam.
        let Self {
            agent,
            log,
            datapath,
            capacity,
            announce,
            ipam: _,
            services,
            kubernetes,
            parents: _,
            routes: _,
            rules: _,
            masquerades: _,
            pools,
            local_services,
        } = self;
        agent.check()?;
        log.check()?;
        datapath.check()?;
        capacity.check()?;
        positive("announce.timeout_ms", announce.timeout_ms)?;
        services.check()?;
        kubernetes.check()?;
        self.check_parents()?;
        self.check_routes()?;
        self.check_rules()?;
        self.check_masquerades()?;
        ipam::check(pools).map_err(|(index, invalid)| {
            (format!("pool[{index}].{}", invalid.field()), Problem::from(Box::new(invalid)))
        })?;
        local::check(local_services).map_err(|(index, invalid)| {
            (format!("local_service[{index}].{}", invalid.field()), invalid.into())
        })
    }

    fn check_parents(&self) -> Checked {
        if self.parents.is_empty() {
            return Err(("parent".to_owned(), Problem::NoParent));
        }
        let mut seen = HashMap::new();
        for (index, parent) in self.parents.iter().enumerate() {
            if let Some(first) = seen.insert(&parent.name, index) {
                let name = parent.name.clone();
                let problem = Problem::DuplicateParent { name, first };
                return Err((format!("parent[{index}].name"), problem));
            }
        }
        let (mut subnets, mut devices) = (HashMap::new(), HashMap::new());
        for (index, parent) in self.parents.iter().enumerate() {
            parent.check(index)?;
            if let Some(first) = devices.insert(parent.identity(), index) {
                let field = format!("parent[{index}].{}", parent.identity().key());
                return Err((field, Problem::DuplicateDevice { first }));
            }
            if let Some(vlan) = &parent.vlan
                && self.parents.iter().any(|other| other.name == vlan.on && other.vlan.is_some())
            {
                return Err((
                    format!("parent[{index}].vlan.on"),
                    Problem::VlanOnVlan(vlan.on.clone()),
                ));
            }
            for subnet in &parent.subnets {
                if let Some(first) = subnets.insert(*subnet, index) {
                    let problem = Problem::DuplicateSubnet { subnet: *subnet, first };
                    return Err((format!("parent[{index}].subnets"), problem));
                }
            }
        }
        Ok(())
    }

    fn check_routes(&self) -> Checked {
        let mut seen = HashMap::new();
        for (index, route) in self.routes.iter().enumerate() {
            route.check().and_then(|()| self.check_next_hops(&route.via)).map_err(|invalid| {
                (format!("route[{index}].{}", invalid.field()), invalid.into())
            })?;
            if policy::is_taken(self, route.table.0) {
                let problem = Problem::ReservedTable(route.table.0);
                return Err((format!("route[{index}].table"), problem));
            }
            if let Some(first) = seen.insert((route.table, route.prefix), index) {
                let problem =
                    Problem::DuplicateRoute { prefix: route.prefix, table: route.table, first };
                return Err((format!("route[{index}].prefix"), problem));
            }
        }
        Ok(())
    }
}

impl Config {
    /// Whether the next hops of a route are on one parent.
    pub(crate) fn check_next_hops(&self, via: &[IpAddr]) -> Result<(), route::Invalid> {
        let parent = |via: IpAddr| self.parent_of(via).map(|parent| &parent.name);
        let apart = via.iter().find(|hop| parent(**hop) != parent(via[0]));
        apart.map_or(Ok(()), |hop| Err(route::Invalid::ViaApart(via[0], *hop)))
    }

    fn check_rules(&self) -> Checked {
        rule::check(&self.rules).map_err(|(index, invalid)| {
            (format!("rule[{index}].{}", invalid.field()), invalid.into())
        })?;
        let taken = |rule: &RuleSpec| policy::is_taken(self, rule.table.0);
        match self.rules.iter().position(taken) {
            Some(index) => {
                let problem = Problem::ReservedTable(self.rules[index].table.0);
                Err((format!("rule[{index}].table"), problem))
            }
            None => Ok(()),
        }
    }

    fn check_masquerades(&self) -> Checked {
        masquerade::check(&self.masquerades).map_err(|(index, invalid)| {
            (format!("masquerade[{index}].{}", invalid.field()), invalid.into())
        })?;
        let tables = self.masquerades.iter().map(|spec| spec.table.0);
        match tables.clone().position(|table| policy::is_taken(self, table)) {
            Some(index) => {
                let problem = Problem::ReservedTable(self.masquerades[index].table.0);
                Err((format!("masquerade[{index}].table"), problem))
            }
            None => Ok(()),
        }
    }
}

impl Parent {
    fn check(&self, index: usize) -> Checked {
        let field = |name: &str| format!("parent[{index}].{name}");
        let given =
            [self.mac.map(|_| "mac"), self.pci.map(|_| "pci"), self.vlan.as_ref().map(|_| "vlan")];
        if let [first, second, ..] = given.into_iter().flatten().collect::<Vec<_>>()[..] {
            return Err((field(second), Problem::SecondIdentity { first }));
        }
        if let Some(mac) = self.mac.filter(|mac| mac.octets[0] & 1 == 1 || mac.octets == [0; 6]) {
            return Err((field("mac"), Problem::NoDevice(mac)));
        }
        if let Some(vlan) = self.vlan.as_ref().filter(|vlan| !matches!(vlan.id, 1..=4094)) {
            return Err((field("vlan.id"), Problem::VlanNumber(vlan.id)));
        }
        if self.vlan.is_some() && self.attachment == Attachment::Exclusive {
            return Err((field("vlan"), Problem::WholeVlan));
        }
        if let Some(subnet) = self.subnets.iter().find(|subnet| **subnet != subnet.trunc()) {
            return Err((field("subnets"), Problem::HostBits(*subnet)));
        }
        for (at, router) in self.routers.iter().enumerate() {
            if router.is_unspecified() || router.is_multicast() || router.is_loopback() {
                return Err((field("routers"), Problem::RouterNotUnicast(*router)));
            }
            if self.routers[..at].iter().any(|other| other.is_ipv4() == router.is_ipv4()) {
                return Err((field("routers"), Problem::SecondRouter(*router)));
            }
        }
        match self.table {
            Some(table) if policy::is_reserved(table) || table == TABLE_MAIN => {
                Err((field("table"), Problem::ReservedTable(table)))
            }
            _ => Ok(()),
        }
    }
}

impl Agent {
    fn check(&self) -> Checked {
        let Self { socket, state, pins, mount: _ } = self;
        absolute("agent.socket", socket)?;
        absolute("agent.state", state)?;
        absolute("agent.pins", pins)?;
        let bytes = socket.as_os_str().len();
        if bytes > SOCKET_PATH_MAX {
            return Err(("agent.socket".to_owned(), Problem::SocketTooLong { bytes }));
        }
        Ok(())
    }
}

impl Log {
    fn check(&self) -> Checked {
        let Self { level, format: _ } = self;
        EnvFilter::try_new(level).map(drop).map_err(|error| {
            let problem = Problem::LogLevel { level: level.clone(), reason: error.to_string() };
            ("log.level".to_owned(), problem)
        })
    }
}

impl Datapath {
    fn check(&self) -> Checked {
        let Self { attach: _, reconcile_seconds } = self;
        positive("datapath.reconcile_seconds", *reconcile_seconds)
    }
}

impl Services {
    fn check(&self) -> Checked {
        let Self {
            mode: _,
            translate: _,
            cidrs,
            file,
            node: _,
            zone: _,
            choice: _,
            cgroup,
            tcp_seconds,
            tcp_brief_seconds,
            udp_seconds,
        } = self;
        if let Some(prefix) = cidrs.iter().find(|prefix| **prefix != prefix.trunc()) {
            return Err(("services.cidrs".to_owned(), Problem::HostBits(*prefix)));
        }
        for (field, path) in [("services.file", file), ("services.cgroup", cgroup)] {
            path.as_ref().map_or(Ok(()), |path| absolute(field, path))?;
        }
        positive("services.tcp_seconds", *tcp_seconds)?;
        positive("services.tcp_brief_seconds", *tcp_brief_seconds)?;
        positive("services.udp_seconds", *udp_seconds)
    }
}

impl Kubernetes {
    fn check(&self) -> Checked {
        let Self { enabled: _, kubeconfig, server, node: _ } = self;
        kubeconfig.as_ref().map_or(Ok(()), |path| absolute("kubernetes.kubeconfig", path))?;
        let is_good = |server: &String| {
            server.parse().is_ok_and(|url: hyper::Uri| {
                matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()
            })
        };
        match server.as_ref().filter(|server| !is_good(server)) {
            Some(server) => {
                Err(("kubernetes.server".to_owned(), Problem::NoServer(server.clone())))
            }
            None => Ok(()),
        }
    }
}

impl Capacity {
    fn check(&self) -> Checked {
        let Self { endpoints, routes, flows, services, backends, connections } = self;
        positive("capacity.endpoints", *endpoints)?;
        positive("capacity.routes", *routes)?;
        positive("capacity.flows", *flows)?;
        positive("capacity.services", *services)?;
        positive("capacity.backends", *backends)?;
        positive("capacity.connections", *connections)
    }
}

fn absolute(field: &str, path: &Path) -> Checked {
    if path.is_absolute() {
        Ok(())
    } else {
        Err((field.to_owned(), Problem::Relative(path.to_owned())))
    }
}

fn positive(field: &str, value: u32) -> Checked {
    if value == 0 { Err((field.to_owned(), Problem::Zero)) } else { Ok(()) }
}
