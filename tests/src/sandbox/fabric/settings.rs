//! The configuration of a node's agent.

use std::path::Path;

use super::{
    cluster::Cluster,
    nics::{Nics, VLAN, mac},
    plan::{Plan, SUBNETS, nic},
};
use crate::sandbox::{address::Family, agent::Settings};

/// Of the node of this name, whose addresses end with this number.
pub(super) fn settings(
    plan: Plan,
    nics: Nics,
    (name, number): (&str, u8),
    (cgroup, cluster): (Option<&Path>, Option<&Cluster>),
) -> Settings {
    let (first, second) =
        if plan.swapped { ("macvlan", "ipvlan-l2") } else { ("ipvlan-l2", "macvlan") };
    let parent = |segment: usize, more: &str| {
        let (nodes, pods) = SUBNETS[segment];
        let prefixes = [nodes, pods].map(|subnet| Family::BOTH.map(|family| subnet.prefix(family)));
        let routers = Family::BOTH.map(|family| pods.gateway().of(family).to_string());
        let device = match (nics, segment) {
            (Nics::Stacked, 1) => format!("vlan = {{ on = {:?}, id = {VLAN} }}", nic(0)),
            _ => format!("mac = {:?}", mac(number, segment)),
        };
        format!(
            "[[parent]]\nname = {:?}\n{device}\nsubnets = {:?}\nrouters = {routers:?}\n{more}\n",
            nic(segment),
            prefixes.concat()
        )
    };
    let services = plan.services.map(|translate| translate.configuration(name, cgroup));
    // Questions of half a second a pod are others' to test.
    let announce = if plan.announce {
        "[announce]\nprobe = false\n"
    } else {
        "[announce]\nprobe = false\nannouncements = 0\n"
    };
    let default = Settings::default();
    Settings {
        routes: if services.is_some() { Vec::new() } else { default.routes.clone() },
        attachment: first.to_owned(),
        attach: plan.attach.to_owned(),
        large: plan.large,
        more: announce.to_owned()
            + &parent(1, &format!("attachment = {second:?}"))
            + &parent(2, "attachment = \"policy-route\"\naccelerate = false")
            + &parent(3, "attachment = \"ipvlan-l3s\"")
            + "[[parent]]\nname = \"eth4\"\nattachment = \"exclusive\"\n"
            + &services.unwrap_or_default()
            + &cluster.map(|cluster| cluster.configuration(name)).unwrap_or_default()
            + plan.more,
        ..default
    }
}
