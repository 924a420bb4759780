//! Addresses that stay the same when their pod is made anew, on whichever node.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::error::{Invalid, Problem};

/// The finalizer that keeps a [`FixedIP`] until its addresses are back in their blocks.
pub const FINALIZER: &str = "netpath.io/address";

/// Addresses that a pod keeps when it is made anew. The object is called as its pod is.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "netpath.io",
    version = "v1alpha1",
    kind = "FixedIP",
    plural = "fixedips",
    shortname = "npfip",
    category = "netpath",
    namespaced,
    status = "FixedIPStatus",
    derive = "PartialEq",
    doc = "Addresses that a pod keeps when it is made anew. The object is called as its pod is.",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Released", type_ = "date", json_path = ".status.releasedAt"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new(ONCE_ADDRESSES)
        .message("addresses can not be changed once they are set: delete the FixedIP and make another"),
    validation = Rule::new("has(self.pool) == has(oldSelf.pool) && (!has(self.pool) || self.pool == oldSelf.pool)")
        .message("pool can not be changed: delete the FixedIP and make another"),
)]
#[serde(rename_all = "camelCase")]
pub struct FixedIPSpec {
    /// The pool to choose from. If absent, the pools that the pod would get an address from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub pool: Option<String>,
    /// The addresses, at most one for each family, such as 10.0.1.100. If absent, an agent chooses
    /// when the pod first comes, and writes here what it chose. Once set, they stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2), inner(length(max = 45), regex(pattern = "^[0-9a-fA-F.:]+$")))]
    #[x_kube(validation = Rule::new(ONE_A_FAMILY)
        .message("addresses has two of one family: write one IPv4 address, one IPv6 address or both"))]
    pub addresses: Vec<String>,
    /// Seconds after which the addresses go back to their pool, counted from when the last pod that
    /// had them went. If absent, they are kept until this object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

const ONE_A_FAMILY: &str = "\
    self.filter(a, a.contains(':')).size() <= 1 && self.filter(a, !a.contains(':')).size() <= 1";

const ONCE_ADDRESSES: &str = "\
    !has(oldSelf.addresses) || oldSelf.addresses.size() == 0 || \
    (has(self.addresses) && self.addresses == oldSelf.addresses)";

/// Who has the addresses.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixedIPStatus {
    /// The node that the addresses are on now. Absent: no pod has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The UID of the pod that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Since when it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the last pod let them go. Absent while one has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Time>,
    /// Ready: whether the addresses are the pod's, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation of the object that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl FixedIP {
    /// Its addresses, at most one for each family; none: an agent is to choose.
    pub fn addresses(&self) -> Result<Vec<IpAddr>, Invalid> {
        let field = |index| format!("spec.addresses[{index}]");
        let mut found: Vec<IpAddr> = Vec::new();
        for (index, text) in self.spec.addresses.iter().enumerate() {
            let address = address(text).map_err(|problem| problem.at(field(index)))?;
            check_family(&found, address).map_err(|problem| problem.at(field(index)))?;
            found.push(address);
        }
        Ok(found)
    }
}

/// An address, written alone.
pub(super) fn address(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| Problem::form(text, "an address such as 10.0.1.100"))
}

/// There is one address for each family.
pub(super) fn check_family(others: &[IpAddr], address: IpAddr) -> Result<(), Problem> {
    if others.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
        return Err(Problem::SecondOfFamily(address));
    }
    Ok(())
}
