//! What is done at random: pods and routes that come and go, and rules and routes of ours that somebody
//! takes away.

use std::net::IpAddr;

use anyhow::Result;
use netpath_common::Path;

use super::{
    PLACES, Run,
    asked::{TABLES, Wanted, Way, table_name},
    found::{KernelRoute, KernelRule},
};
use crate::sandbox::{
    address::Family,
    command,
    fabric::{SEGMENTS, nic, subnet},
    namespace::Namespace,
};

impl Run<'_> {
    /// Does something, and tells what.
    pub(super) fn operation(&mut self) -> Result<&'static str> {
        match self.rng.u32(..10) {
            0 => return self.remove_something(),
            1..5 => return self.change_route(),
            _ => {}
        }
        let place = self.rng.usize(..PLACES);
        let name = format!("r{place}");
        let agent = &self.fabric.agents[0];
        if self.places[place].1.take().is_some() {
            agent.netpath(&["endpoint", "del", &name])?;
            return Ok("endpoints removed");
        }
        let wanted = self.choose();
        let Wanted { segment, attachment, address, table } = &wanted;
        let (parent, netns) = (nic(*segment), self.places[place].0.path());
        let netns = netns.to_string_lossy();
        let (v4, v6) = (format!("{}/24", address.v4), format!("{}/64", address.v6));
        let table = table_name(*table);
        agent.netpath(&[
            "endpoint",
            "add",
            &name,
            "--netns",
            &netns,
            "--parent",
            &parent,
            "--attachment",
            attachment,
            "--address",
            &v4,
            "--address",
            &v6,
            "--table",
            &table,
        ])?;
        self.places[place].1 = Some(wanted);
        Ok("endpoints added")
    }

    /// Adds the route of some table and prefix, or removes it if it is there.
    fn change_route(&mut self) -> Result<&'static str> {
        let agent = &self.fabric.agents[0];
        let table = TABLES[self.rng.usize(..TABLES.len())];
        let (net, v4) = (self.rng.u8(1..6), self.rng.bool());
        let prefix = match (v4, self.rng.u8(..4)) {
            (true, 0) => "0.0.0.0/0".to_owned(),
            (true, 1) => format!("10.60.{net}.7/32"),
            (true, 2) => format!("10.60.{net}.0/24"),
            (true, _) => "10.60.0.0/16".to_owned(),
            (false, 0) => "::/0".to_owned(),
            (false, 1) => format!("fd00:60:{net}::7/128"),
            (false, 2) => format!("fd00:60:{net}::/48"),
            (false, _) => "fd00:60::/32".to_owned(),
        };
        let name = table_name(table);
        if self.routes.remove(&(table, prefix.clone())).is_some() {
            agent.netpath(&["route", "del", &prefix, "--table", &name])?;
            return Ok("routes removed");
        }
        let path = Path::ALL[self.rng.usize(..Path::ALL.len())];
        let segment = self.rng.usize(..SEGMENTS);
        let hops = if path == Path::Router { self.rng.u8(..4) } else { 0 };
        let first = self.rng.u8(200..210);
        let family = if v4 { Family::Ipv4 } else { Family::Ipv6 };
        let hop = |number| subnet(segment).host(first + number).of(family);
        let via: Vec<IpAddr> = (0..hops).map(hop).collect();
        let mut words = vec!["route", "add", &prefix, path.name(), "--table", &name];
        let addresses: Vec<String> = via.iter().map(ToString::to_string).collect();
        words.extend(addresses.iter().flat_map(|address| ["--via", address]));
        agent.netpath(&words)?;
        self.routes.insert((table, prefix), Way { path, via, segment });
        Ok("routes added")
    }

    /// An address that nobody has, now and then of another parent's subnet.
    fn choose(&mut self) -> Wanted {
        let segment = self.rng.usize(..SEGMENTS);
        let child = match segment {
            0 if self.ipvlan => "ipvlan-l2",
            1 => "macvlan",
            _ => "policy-route",
        };
        let attachment = if self.rng.bool() { child } else { "policy-route" };
        let table = TABLES[self.rng.usize(..TABLES.len())];
        let of = if self.rng.u32(..5) == 0 { self.rng.usize(..SEGMENTS) } else { segment };
        loop {
            let address = subnet(of).host(self.rng.u8(50..90));
            let taken = self.places.iter().flat_map(|(_, wanted)| wanted);
            if taken.into_iter().all(|other| other.address != address) {
                return Wanted { segment, attachment, address, table };
            }
        }
    }

    /// Removes a rule or a route of ours, behind the agent's back.
    fn remove_something(&mut self) -> Result<&'static str> {
        let kernel = self.kernel()?;
        let node = &self.fabric.nodes[0].namespace;
        let rule = self.rng.bool();
        if rule && !kernel.rules.is_empty() {
            let rules: Vec<&KernelRule> = kernel.rules.iter().collect();
            let (ipv6, priority, selector, table) = rules[self.rng.usize(..rules.len())];
            let family = if *ipv6 { "-6" } else { "-4" };
            // The agent may have been faster with a change of its own.
            let line = format!("{family} rule del pref {priority} from {selector} table {table}");
            let _ = ip(node, &line);
            return Ok("rules taken away");
        }
        if kernel.routes.is_empty() {
            return Ok("nothing to take away");
        }
        let routes: Vec<&KernelRoute> = kernel.routes.iter().collect();
        let (ipv6, table, destination, way) = routes[self.rng.usize(..routes.len())];
        let family = if *ipv6 { "-6" } else { "-4" };
        let kind = if way.contains("dev") { "unicast" } else { way };
        let _ = ip(node, &format!("{family} route del {kind} {destination} table {table}"));
        Ok("routes taken away")
    }
}

fn ip(node: &Namespace, line: &str) -> Result<String> {
    command::run(node.command("ip").args(line.split(' ')))
}
