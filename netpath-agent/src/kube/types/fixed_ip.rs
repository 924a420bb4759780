//! Addresses that stay the same when their pod is made anew, on whichever node.

use std::{fmt, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::error::{Invalid, Problem};

/// Who keeps addresses: a pod, by namespace and name, whatever it is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

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
    /// The addresses that are recorded in their blocks as this object's: nobody else gets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Since when the node has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the last node let them go. Absent while one has them.
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
    /// The object for a pod of this name, kept until its addresses are back in their blocks.
    #[must_use]
    pub fn of(owner: &Owner, addresses: &[IpAddr]) -> Self {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let mut object =
            Self::new(&owner.name, FixedIPSpec { addresses, ..FixedIPSpec::default() });
        object.metadata.namespace = Some(owner.namespace.clone());
        object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        object
    }

    /// Whose addresses they are.
    #[must_use]
    pub fn owner(&self) -> Owner {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Owner { namespace: text(&self.metadata.namespace), name: text(&self.metadata.name) }
    }

    /// The node that has them; none: no pod does.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.status.as_ref()?.node.as_deref()
    }

    /// Whether somebody wants it gone.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

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
