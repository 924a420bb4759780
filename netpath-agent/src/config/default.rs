//! The commented default file, written from the doc comments of the settings.

use std::{fmt::Write as _, net::Ipv4Addr};

use documented::{Documented, DocumentedFields};
use ipnet::{IpNet, Ipv4Net};
use netpath_common::Path;
use serde::{Serialize, ser::Error as _};

use super::{Config, Parent};
use crate::{
    ipam::PoolSpec,
    masquerade::MasqueradeSpec,
    route::{RouteSpec, Table},
    rule::RuleSpec,
    service::local::{LocalAddress, LocalSpec},
};

/// The width of the file, in columns.
const WIDTH: usize = 92;

/// What stands in front of a key that is not set.
const OFF: &str = "# ";

/// Every key with its default value and what it means. The parent is an example to edit, the
/// route, the rule, the masquerade, the pool and the local Service are examples behind `#`.
pub fn default_file() -> Result<String, toml::ser::Error> {
    let Config {
        agent,
        log,
        datapath,
        capacity,
        announce,
        ipam,
        services,
        kubernetes,
        parents: _,
        routes: _,
        rules: _,
        masquerades: _,
        pools: _,
        local_services: _,
    } = Config::default();
    let mut file = String::from("# The configuration of netpath-agent.\n");
    section(&mut file, "", "[agent]", &agent)?;
    section(&mut file, "", "[log]", &log)?;
    section(&mut file, "", "[datapath]", &datapath)?;
    section(&mut file, "", "[capacity]", &capacity)?;
    section(&mut file, "", "[announce]", &announce)?;
    section(&mut file, "", "[ipam]", &ipam)?;
    section(&mut file, "", "[services]", &services)?;
    section(&mut file, "", "[kubernetes]", &kubernetes)?;
    section(&mut file, "", "[[parent]]", &Parent::example())?;
    section(&mut file, OFF, "[[route]]", &example_route())?;
    section(&mut file, OFF, "[[rule]]", &example_rule())?;
    section(&mut file, OFF, "[[masquerade]]", &example_masquerade())?;
    section(&mut file, OFF, "[[pool]]", &example_pool())?;
    section(&mut file, OFF, "[[local_service]]", &example_local_service()?)?;
    Ok(file)
}

/// A cluster's Services, left to the host's kube-proxy.
fn example_route() -> RouteSpec {
    let prefix = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12);
    RouteSpec { table: Table::MAIN, prefix: IpNet::V4(prefix), path: Path::Kernel, via: Vec::new() }
}

/// Pods of a subnet with a way out of their own.
fn example_rule() -> RuleSpec {
    let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 0), 24);
    RuleSpec { from: Some(subnet.into()), to: None, mark: None, table: Table(100) }
}

/// The same pods, with the node's address towards the world.
fn example_masquerade() -> MasqueradeSpec {
    let vpc = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8);
    MasqueradeSpec { table: Table(100), vpc: vec![vpc.into()] }
}

/// A part of the node's subnet, with its router.
fn example_pool() -> PoolSpec {
    let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 1, 0), 24);
    let range = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 1, 64), 26);
    PoolSpec {
        name: "pods".to_owned(),
        subnet: subnet.into(),
        ranges: vec![IpNet::V4(range).into()],
        exclude: Vec::new(),
        reserve: Vec::new(),
        gateway: Some(Ipv4Addr::new(10, 0, 1, 1).into()),
        default: true,
    }
}

/// A DNS cache on the node.
fn example_local_service() -> Result<LocalSpec, toml::ser::Error> {
    let service = "kube-system/kube-dns".parse().map_err(toml::ser::Error::custom)?;
    let address = Ipv4Addr::new(169, 254, 20, 10).into();
    let addresses = vec![LocalAddress { address, port: Some(53) }];
    Ok(LocalSpec { service, addresses, fallback: true })
}

fn section<T>(
    file: &mut String,
    mark: &str,
    header: &str,
    values: &T,
) -> Result<(), toml::ser::Error>
where
    T: Serialize + Documented + DocumentedFields,
{
    file.push('\n');
    comment(file, T::DOCS);
    line(file, format_args!("{mark}{header}"));
    let table = toml::Table::try_from(values)?;
    for (name, docs) in T::FIELD_NAMES.iter().zip(T::FIELD_DOCS) {
        comment(file, docs);
        match table.get(*name) {
            Some(value) => line(file, format_args!("{mark}{name} = {value}")),
            None => line(file, format_args!("{OFF}{name} =")),
        }
    }
    Ok(())
}

fn comment(file: &mut String, docs: &str) {
    let mut text = String::from("#");
    for word in docs.split_whitespace() {
        if text.len() + 1 + word.len() > WIDTH {
            line(file, format_args!("{text}"));
            text.truncate(1);
        }
        text.push(' ');
        text.push_str(word);
    }
    line(file, format_args!("{text}"));
}

fn line(file: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can not fail.
    let _ = writeln!(file, "{text}");
}
