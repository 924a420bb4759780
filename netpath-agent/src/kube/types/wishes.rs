//! What a pod asks for, by its annotations.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    error::{Invalid, Problem},
    fixed_ip::{address, check_family},
    name::is_name,
    network::pool,
    quantity::bits_per_second,
    route::NetworkRoute,
};
use crate::pod::{Bandwidth, PodRoute};

/// The annotations of pods that netpath reads.
pub mod annotation {
    /// The Network to attach the pod to.
    pub const NETWORK: &str = "netpath.io/network";
    /// The IPPools to take addresses from, in order of preference, separated by commas.
    pub const POOLS: &str = "netpath.io/pools";
    /// Whether the pod keeps its addresses when it is made anew: `true`, or the addresses,
    /// separated by commas.
    pub const FIXED: &str = "netpath.io/fixed";
    /// More routes inside the pod: `[{"dst": "10.96.0.0/12", "via": "10.0.1.254"}]`.
    pub const ROUTES: &str = "netpath.io/routes";
    /// Bits a second into the pod, such as `10M`. Kubernetes' own.
    pub const INGRESS: &str = "kubernetes.io/ingress-bandwidth";
    /// Bits a second out of the pod, such as `10M`. Kubernetes' own.
    pub const EGRESS: &str = "kubernetes.io/egress-bandwidth";
}

const ROUTES: &str = r#"a list such as [{"dst": "10.96.0.0/12", "via": "10.0.1.254"}], with dst, via, mtu, priority"#;

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The Network; none: the default one.
    pub network: Option<String>,
    /// The pools, in order of preference; none: the network's.
    pub pools: Vec<String>,
    /// Whether it keeps its addresses.
    pub fixed: Fixed,
    /// More routes inside the pod, beside the network's.
    pub routes: Vec<PodRoute>,
    /// Limits.
    pub bandwidth: Option<Bandwidth>,
}

/// Whether a pod keeps its addresses when it is made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fixed {
    /// It gets others.
    #[default]
    No,
    /// It keeps those that it gets first.
    Any,
    /// It has these, at most one for each family.
    These(Vec<IpAddr>),
}

impl Wishes {
    /// Reads a pod's annotations. Others than those of [`annotation`] are passed over.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Self, Invalid> {
        let wishes = Self {
            network: get(annotations, annotation::NETWORK, network)?,
            pools: get(annotations, annotation::POOLS, |text| list(text, pool))?
                .unwrap_or_default(),
            fixed: get(annotations, annotation::FIXED, fixed)?.unwrap_or_default(),
            routes: routes(annotations)?,
            bandwidth: None,
        };
        let ingress_rate = get(annotations, annotation::INGRESS, bits_per_second)?;
        let egress_rate = get(annotations, annotation::EGRESS, bits_per_second)?;
        let any = ingress_rate.or(egress_rate).is_some();
        let bandwidth = Bandwidth { ingress_rate, egress_rate, ..Bandwidth::default() };
        Ok(Self { bandwidth: any.then_some(bandwidth), ..wishes })
    }
}

fn field(name: &str) -> String {
    format!("annotation {name}")
}

fn get<T>(
    annotations: &BTreeMap<String, String>,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<Option<T>, Invalid> {
    let value = annotations.get(name).map(|text| parse(text.trim()));
    value.transpose().map_err(|problem| problem.at(field(name)))
}

fn network(text: &str) -> Result<String, Problem> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::form(text, "the name of a Network, such as underlay"))
}

fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    text.split(',').map(|part| parse(part.trim())).collect()
}

fn fixed(text: &str) -> Result<Fixed, Problem> {
    match text {
        "true" => return Ok(Fixed::Any),
        "false" => return Ok(Fixed::No),
        _ => {}
    }
    let mut addresses = Vec::new();
    for part in text.split(',').map(str::trim) {
        let expected = "true, false or addresses such as 10.0.1.100,fd00:1::100";
        let address = address(part).map_err(|_| Problem::form(text, expected))?;
        check_family(&addresses, address)?;
        addresses.push(address);
    }
    Ok(Fixed::These(addresses))
}

fn routes(annotations: &BTreeMap<String, String>) -> Result<Vec<PodRoute>, Invalid> {
    /// As in a [`NetworkRoute`], but a key that nobody knows is a mistake here: there is no schema
    /// to find it.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        dst: String,
        via: Option<String>,
        mtu: Option<u32>,
        priority: Option<u32>,
    }
    let read = |text: &str| {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize::<_, Vec<Written>>(&mut reader)
            .map_err(|error| Problem::Json { message: error.to_string(), expected: ROUTES })
    };
    let written = get(annotations, annotation::ROUTES, read)?.unwrap_or_default();
    let checked = |(index, Written { dst, via, mtu, priority }): (usize, Written)| {
        let field = format!("{}[{index}]", field(annotation::ROUTES));
        NetworkRoute { dst, via, mtu, priority }.checked(&field)
    };
    written.into_iter().enumerate().map(checked).collect()
}
