//! Pools of addresses for the whole cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema, core::Selector};
use serde::{Deserialize, Serialize};

use super::{
    error::{Invalid, Problem},
    selector::selector,
};
use crate::ipam::{AddressRange, Blocks, PoolSpec};

/// Addresses of one subnet for pods, which nodes take in blocks and hand out. For dual stack, make
/// one pool for each family.
#[derive(Clone, Debug, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "netpath.io",
    version = "v1alpha1",
    kind = "IPPool",
    plural = "ippools",
    shortname = "nppool",
    category = "netpath",
    status = "IPPoolStatus",
    derive = "PartialEq",
    doc = "Addresses of one subnet for pods of the whole cluster.",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a pool's name has at most 63 characters: it is part of its blocks' names"),
    printcolumn(name = "Subnet", type_ = "string", json_path = ".spec.subnet"),
    printcolumn(name = "Gateway", type_ = "string", json_path = ".spec.gateway"),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.size"),
    printcolumn(name = "Blocks", type_ = "integer", json_path = ".status.blocks"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("!has(self.gateway) || self.gateway.contains(':') == self.subnet.contains(':')")
        .message("gateway must be of the family of subnet: both IPv4 or both IPv6"),
    validation = Rule::new(SAME_FAMILY)
        .message("ranges, exclude and reserve must be of the family of subnet: all IPv4 or all IPv6"),
)]
#[serde(rename_all = "camelCase")]
pub struct IPPoolSpec {
    /// The subnet that the addresses are of, without host bits; pods get its length. Such as
    /// `10.0.1.0/24` or `fd00:1::/64`. It can not be changed: make another pool.
    #[schemars(length(max = 49), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("subnet can not be changed: make another pool"))]
    pub subnet: String,
    /// What to hand out: FIRST-LAST, a prefix or a single address, such as 10.0.1.10-10.0.1.99,
    /// 10.0.1.64/26 or 10.0.1.7. The whole subnet if absent. Never handed out are the subnet's own
    /// address, its broadcast address (IPv4) and the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 91), regex(pattern = RANGE)))]
    pub ranges: Vec<String>,
    /// What never to hand out, in the same forms: routers, nodes, load balancers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 91), regex(pattern = RANGE)))]
    pub exclude: Vec<String>,
    /// What to hand out only as fixed addresses that name the very address, in the same forms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 91), regex(pattern = RANGE)))]
    pub reserve: Vec<String>,
    /// The subnet's router, which pods get as theirs: an address inside the subnet, or for IPv6 a
    /// link-local one. Such as `10.0.1.1` or `fe80::1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45), regex(pattern = r"^[0-9a-fA-F.:]+$"))]
    pub gateway: Option<String>,
    /// Whether pods that name no pool are served from here.
    #[serde(default = "yes")]
    pub default: bool,
    /// How many addresses a node takes at once: a power of two, at most 65536. It can not be
    /// changed: make another pool.
    #[serde(default = "block_size")]
    #[schemars(extend("enum" = [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536
    ]))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("blockSize can not be changed: make another pool"))]
    pub block_size: u32,
    /// Of several pools that would do, those with a higher priority are tried first; those of the
    /// same priority by name.
    #[serde(default)]
    pub priority: i32,
    /// The nodes that may take blocks, by their labels. All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The namespaces whose pods may have addresses, by their labels. All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The pods that may have addresses, by their labels. All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
}

/// The forms of a range.
const RANGE: &str = "^[0-9a-fA-F.:]+( ?- ?[0-9a-fA-F.:]+|/[0-9]{1,3})?$";

const SAME_FAMILY: &str = "\
    (!has(self.ranges) || self.ranges.all(r, r.contains(':') == self.subnet.contains(':'))) && \
    (!has(self.exclude) || self.exclude.all(r, r.contains(':') == self.subnet.contains(':'))) && \
    (!has(self.reserve) || self.reserve.all(r, r.contains(':') == self.subnet.contains(':')))";

const fn yes() -> bool {
    true
}

const fn block_size() -> u32 {
    16
}

/// How a pool is doing.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IPPoolStatus {
    /// Ready: whether the pool is one that addresses can be handed out from, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many blocks are taken, by nodes and for fixed addresses.
    #[serde(default)]
    pub blocks: u32,
    /// How many addresses can be handed out, reserved ones among them. A text: an IPv6 pool has
    /// more than JSON's numbers hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The generation of the pool that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What the agent makes of a pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What it hands out.
    pub spec: PoolSpec,
    /// Its blocks.
    pub blocks: Blocks,
    /// The higher one is tried first.
    pub priority: i32,
    /// Which nodes may take blocks.
    pub nodes: Selector,
    /// The pods of which namespaces may have addresses.
    pub namespaces: Selector,
    /// Which pods may have addresses.
    pub pods: Selector,
}

impl TryFrom<&IPPool> for Pool {
    type Error = Invalid;

    fn try_from(pool: &IPPool) -> Result<Self, Invalid> {
        let IPPoolSpec {
            subnet,
            ranges,
            exclude,
            reserve,
            gateway,
            default,
            block_size,
            priority,
            node_selector,
            namespace_selector,
            pod_selector,
        } = &pool.spec;
        let gateway = gateway.as_deref().map(|text| {
            let form = |_| Problem::form(text, "an address such as 10.0.1.1").at("spec.gateway");
            text.parse().map_err(form)
        });
        let spec = PoolSpec {
            name: pool.metadata.name.clone().unwrap_or_default(),
            subnet: subnet.parse().map_err(|_| {
                Problem::form(subnet, "a subnet such as 10.0.1.0/24").at("spec.subnet")
            })?,
            ranges: list("spec.ranges", ranges)?,
            exclude: list("spec.exclude", exclude)?,
            reserve: list("spec.reserve", reserve)?,
            gateway: gateway.transpose()?,
            default: *default,
        };
        spec.check().map_err(|invalid| {
            let field = match &invalid {
                crate::ipam::Invalid::Name(_) => "metadata.name".to_owned(),
                other => format!("spec.{}", other.field()),
            };
            Problem::from(invalid).at(field)
        })?;
        let blocks = Blocks::new(&spec, *block_size)
            .map_err(|error| Problem::from(error).at("spec.blockSize"))?;
        Ok(Self {
            spec,
            blocks,
            priority: *priority,
            nodes: selector("spec.nodeSelector", node_selector.as_ref())?,
            namespaces: selector("spec.namespaceSelector", namespace_selector.as_ref())?,
            pods: selector("spec.podSelector", pod_selector.as_ref())?,
        })
    }
}

fn list(field: &str, texts: &[String]) -> Result<Vec<AddressRange>, Invalid> {
    let range = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| Problem::from(error).at(format!("{field}[{index}]")))
    };
    texts.iter().enumerate().map(range).collect()
}
