//! How pods are attached that ask for it.

use clap::ValueEnum as _;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema, core::Selector};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    error::{Invalid, Problem},
    name::is_name,
    route::{NetworkRoute, check_mtu},
    selector::selector,
};
use crate::{attachment::Attachment, name::InterfaceName, pod::PodRoute, route::Table};

/// How pods are attached that name this network, in the annotation netpath.io/network or as a
/// secondary network.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "netpath.io",
    version = "v1alpha1",
    kind = "Network",
    plural = "networks",
    shortname = "npnet",
    category = "netpath",
    status = "NetworkStatus",
    derive = "PartialEq",
    doc = "How pods are attached that ask for this network.",
    printcolumn(name = "Attachment", type_ = "string", json_path = ".spec.attachment"),
    printcolumn(name = "Parents", type_ = "string", json_path = ".spec.parents"),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools"),
    printcolumn(name = "Table", type_ = "string", json_path = ".spec.table", priority = 1),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// How pods are wired to their parent: ipvlan-l2 (they share its Ethernet address), ipvlan-l3
    /// and ipvlan-l3s (the node routes what they send), macvlan (each has an Ethernet address of
    /// its own), policy-route (veth pairs and routes) or exclusive (the NIC itself, given to one
    /// pod). The parent's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [
        "ipvlan-l2", "ipvlan-l3", "ipvlan-l3s", "macvlan", "policy-route", "exclusive"
    ]))]
    pub attachment: Option<String>,
    /// The parents to sit on, in order of preference: the first one that the node has. Such as
    /// eth1. If absent, the agent's usual one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 15)))]
    pub parents: Vec<String>,
    /// The route table that is asked before the main one: main, or a number from 1 to 4294967295.
    /// main if absent.
    #[serde(default, deserialize_with = "number_or_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<IntOrString>")]
    #[x_kube(validation = Rule::new("string(self).matches('^(main|[1-9][0-9]{0,9})$')")
        .message("table must be main or a number from 1 to 4294967295"))]
    pub table: Option<String>,
    /// The interface's MTU in bytes. The parent's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65_535))]
    pub mtu: Option<u32>,
    /// The IPPools to take addresses from, in order of preference, one address for each family that
    /// they have. The default ones if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub pools: Vec<String>,
    /// Whether default routes lead to the gateways. If absent, only on the pod's first interface,
    /// eth0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_route: Option<bool>,
    /// More routes inside the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub routes: Vec<NetworkRoute>,
    /// The namespaces whose pods may ask for it, by their labels. All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Whether it is the network of pods that ask for none.
    #[serde(default)]
    pub default: bool,
}

/// Kubernetes' own type for this holds no more than 2147483647.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(serde_json::Number),
        Text(String),
    }
    let written = Option::<Written>::deserialize(deserializer)?;
    Ok(written.map(|written| match written {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    }))
}

/// Whether a network can be used.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStatus {
    /// Ready: whether pods can be attached like this, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation of the network that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What the agent makes of a network.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// How pods are wired; as the parent's endpoints are if not given.
    pub attachment: Option<Attachment>,
    /// The parents to sit on, in order of preference; none: the agent's usual one.
    pub parents: Vec<InterfaceName>,
    /// The route table that is asked before the main one.
    pub table: Table,
    /// The interface's MTU in bytes, if not the parent's.
    pub mtu: Option<u32>,
    /// The pools, in order of preference; none: the default ones.
    pub pools: Vec<String>,
    /// Whether default routes lead to the gateways; none: on the first interface.
    pub default_route: Option<bool>,
    /// More routes inside the pod.
    pub routes: Vec<PodRoute>,
    /// The pods of which namespaces may ask for it.
    pub namespaces: Selector,
    /// Whether it is the network of pods that ask for none.
    pub default: bool,
}

impl TryFrom<&Network> for Wiring {
    type Error = Invalid;

    fn try_from(network: &Network) -> Result<Self, Invalid> {
        let NetworkSpec {
            attachment,
            parents,
            table,
            mtu,
            pools,
            default_route,
            routes,
            namespace_selector,
            default,
        } = &network.spec;
        if let Some(mtu) = *mtu {
            check_mtu(mtu).map_err(|problem| problem.at("spec.mtu"))?;
        }
        Ok(Self {
            attachment: attachment.as_deref().map(wired).transpose()?,
            parents: each("spec.parents", parents, |text| Ok(text.parse::<InterfaceName>()?))?,
            table: table
                .as_deref()
                .map(|text| text.parse().map_err(|error| Problem::from(error).at("spec.table")))
                .transpose()?
                .unwrap_or_default(),
            mtu: *mtu,
            pools: each("spec.pools", pools, pool)?,
            default_route: *default_route,
            routes: routes
                .iter()
                .enumerate()
                .map(|(index, route)| route.checked(&format!("spec.routes[{index}]")))
                .collect::<Result<_, _>>()?,
            namespaces: selector("spec.namespaceSelector", namespace_selector.as_ref())?,
            default: *default,
        })
    }
}

fn wired(text: &str) -> Result<Attachment, Invalid> {
    let all = Attachment::value_variants();
    all.iter().find(|it| it.name() == text).copied().ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|it| it.name()).collect();
        Problem::form(text, format!("one of {}", names.join(", "))).at("spec.attachment")
    })
}

/// A pool's name.
pub(super) fn pool(text: &str) -> Result<String, Problem> {
    if is_name(text) && text.len() <= 63 {
        return Ok(text.to_owned());
    }
    Err(Problem::form(text, "the name of an IPPool, such as pods4"))
}

fn each<T>(
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, Invalid> {
    let one = |(index, text): (usize, &String)| {
        parse(text).map_err(|problem| problem.at(format!("{field}[{index}]")))
    };
    texts.iter().enumerate().map(one).collect()
}
