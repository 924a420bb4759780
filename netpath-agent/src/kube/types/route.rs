//! Routes inside pods, as networks and annotations write them.

use std::net::IpAddr;

use ipnet::IpNet;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::error::{Invalid, Problem};
use crate::pod::PodRoute;

/// A route inside the pod.
#[derive(Clone, Debug, PartialEq, Eq, KubeSchema, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.via) || self.via.contains(':') == self.dst.contains(':')")
        .message("via must be of the family of dst: both IPv4 or both IPv6"),
)]
pub struct NetworkRoute {
    /// The destination, without host bits, such as 10.96.0.0/12.
    #[schemars(length(max = 49), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub dst: String,
    /// The next hop, such as 10.0.1.254. If absent, the gateway of the pod's address of this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45), regex(pattern = r"^[0-9a-fA-F.:]+$"))]
    pub via: Option<String>,
    /// The MTU in bytes along the route. The interface's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65_535))]
    pub mtu: Option<u32>,
    /// The metric: of two routes to one destination, the lower one wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

impl NetworkRoute {
    /// The route, and for errors the path of the field that it stands in.
    pub(super) fn checked(&self, field: &str) -> Result<PodRoute, Invalid> {
        let Self { dst, via, mtu, priority } = self;
        let at = |key: &str| format!("{field}.{key}");
        let form = |found: &str, expected: &str| Problem::form(found, expected);
        let destination: IpNet =
            dst.parse().map_err(|_| form(dst, "a prefix such as 10.96.0.0/12").at(at("dst")))?;
        if destination != destination.trunc() {
            let expected = destination.trunc();
            return Err(Problem::HostBits { found: destination, expected }.at(at("dst")));
        }
        let gateway = via.as_deref().map(|text| {
            text.parse().map_err(|_| form(text, "an address such as 10.0.1.254").at(at("via")))
        });
        let gateway: Option<IpAddr> = gateway.transpose()?;
        if let Some(via) = gateway
            && via.is_ipv4() != destination.addr().is_ipv4()
        {
            return Err(Problem::Family { via, destination }.at(at("via")));
        }
        if let Some(mtu) = *mtu {
            check_mtu(mtu).map_err(|problem| problem.at(at("mtu")))?;
        }
        Ok(PodRoute { destination, gateway, mtu: *mtu, priority: *priority })
    }
}

/// What an interface can have: an IPv4 header with all options, and what its length field holds.
pub(super) fn check_mtu(mtu: u32) -> Result<(), Problem> {
    if (68..=65_535).contains(&mtu) {
        return Ok(());
    }
    Err(Problem::form(&mtu.to_string(), "68 to 65535 bytes"))
}
