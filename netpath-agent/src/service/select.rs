//! Which endpoints of a Service are asked on this node, and why others are not: as kube-proxy chooses.

use super::{ServiceEndpoint, ServiceSpec};

/// Where endpoints may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On any node.
    Cluster,
    /// On this node.
    Local,
}

/// Whether an endpoint is asked, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Chosen,
    /// It has no address of the family.
    OtherFamily,
    /// It is on another node, and the policy is local.
    OtherNode,
    /// It is not ready.
    NotReady,
    /// It is about to go, and others are ready or it does not answer any more.
    Terminating,
    /// Its hints are for other zones.
    OtherZone,
    /// Backends of this node's own answer instead.
    HostLocal,
}

impl Standing {
    /// What tables and JSON show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::OtherFamily => "no address of the family",
            Self::OtherNode => "on another node",
            Self::NotReady => "not ready",
            Self::Terminating => "terminating",
            Self::OtherZone => "for another zone",
            Self::HostLocal => "host-local backends answer",
        }
    }
}

/// Where this node is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What it is called.
    pub node: &'a str,
    /// Its zone, if it is known.
    pub zone: Option<&'a str>,
}

/// How every endpoint stands, in order.
///
/// Ready ones are asked. If there are none, those are that still answer while they terminate. Hints
/// hold only if every ready endpoint has some, and some are for this zone: else whoever has none would
/// be asked by nobody, or nobody by this node.
#[must_use]
pub fn standings(spec: &ServiceSpec, place: Place<'_>, reach: Reach, ipv6: bool) -> Vec<Standing> {
    let is_ready = |it: &ServiceEndpoint| it.address(ipv6).is_some() && spec.is_ready(it);
    let is_near =
        |it: &ServiceEndpoint| reach == Reach::Cluster || it.node.as_deref() == Some(place.node);
    let zone = place.zone.filter(|zone| {
        let mut ready = spec.endpoints.iter().filter(|it| is_ready(it));
        let mut for_zone = spec.endpoints.iter().filter(|it| is_ready(it));
        reach == Reach::Cluster
            && ready.all(|it| !it.hints.is_empty())
            && for_zone.any(|it| it.hints.iter().any(|hint| hint == zone))
    });
    let is_ours =
        |it: &ServiceEndpoint| zone.is_none_or(|zone| it.hints.iter().any(|hint| hint == zone));
    let any_ready = spec.endpoints.iter().any(|it| is_ready(it) && is_near(it));
    let stand = |it: &ServiceEndpoint| {
        if it.address(ipv6).is_none() {
            Standing::OtherFamily
        } else if !is_near(it) {
            Standing::OtherNode
        } else if spec.is_ready(it) {
            if is_ours(it) { Standing::Chosen } else { Standing::OtherZone }
        } else if it.terminating {
            let reserve = it.serving && !any_ready;
            if reserve { Standing::Chosen } else { Standing::Terminating }
        } else {
            Standing::NotReady
        }
    };
    spec.endpoints.iter().map(stand).collect()
}
