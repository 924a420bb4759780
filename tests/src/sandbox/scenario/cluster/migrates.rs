//! Nodes move from the reference macvlan plugin, as Multus starts it, to netpath: one after the other, while
//! agents run on both.

use std::{net::IpAddr, path::Path};

use anyhow::{Result, ensure};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{
    cni::{Ground, Outcome as Run, Plugin},
    sandbox::{
        address::Family,
        fabric::{Fabric, Plan, Sort, create, nic, subnet},
        host,
        namespace::Namespace,
        probe::{self, Patience},
        scenario::{Bench, Outcome},
        topology::POD,
    },
};

/// Where Debian has the reference plugins.
const PLUGINS: &str = "/usr/lib/cni";
/// The segment whose NIC is used.
const SEGMENT: usize = 1;

pub(super) fn migrates(bench: &Bench) -> Result<Outcome> {
    if !Path::new(PLUGINS).join("macvlan").exists() {
        return Ok(Outcome::Ignored(
            "no reference plugins; install containernetworking-plugins".into(),
        ));
    }
    let fabric = Fabric::build(&bench.programs, Plan::default())?;
    let folder = tempfile::Builder::new().prefix("netpath-ipam-").tempdir()?;
    let site = Site { fabric: &fabric, ipam: ipam(folder.path()) };
    // The first node still has a pod as before, the second one has netpath's, with addresses of the same
    // IPAM plugin.
    let (old, new) = (site.add(0, "old", BEFORE)?, site.add(1, "new", AFTER)?);
    // Children that are not netpath's would be taken for somebody who forges addresses.
    let routes: Vec<_> = old.addresses.iter().map(|it| IpNet::from(*it).to_string()).collect();
    for route in &routes {
        fabric.agents[0].netpath(&["route", "add", route, "host"])?;
    }
    site.meet(&old, &new)?;
    site.call(&old, "DEL")?.silence()?;
    for route in &routes {
        fabric.agents[0].netpath(&["route", "del", route])?;
    }
    let again = site.add(0, "again", AFTER)?;
    site.meet(&again, &new)?;
    // What is gained: nodes reach their pods.
    for pod in [&again, &new] {
        let node = &fabric.nodes[pod.node].namespace;
        for address in &pod.addresses {
            let heard = probe::ping_of(node, *address, 100, Patience::EXPECTED)?;
            ensure!(heard, "{address} does not answer its node");
        }
    }
    [again, new].iter().try_for_each(|pod| site.call(pod, "DEL")?.silence())?;
    Ok(Outcome::Passed)
}

/// As the definition of the network says it, before and after.
const BEFORE: &str = "macvlan";
const AFTER: &str = "netpath-cni";

/// Addresses of the pods' subnets, from an IPAM plugin that stays.
fn ipam(folder: &Path) -> Value {
    let range = |family: Family, first: &str, last: &str| {
        json!([{
            "subnet": subnet(SEGMENT).prefix(family), "rangeStart": first, "rangeEnd": last,
            "gateway": subnet(SEGMENT).gateway().of(family),
        }])
    };
    let first = |family| subnet(SEGMENT).host(200).of(family).to_string();
    let last = |family| subnet(SEGMENT).host(220).of(family).to_string();
    let ranges = Family::BOTH.map(|family| range(family, &first(family), &last(family)));
    json!({"type": "host-local", "dataDir": folder, "ranges": ranges})
}

struct Site<'a> {
    fabric: &'a Fabric,
    ipam: Value,
}

struct Pod {
    namespace: Namespace,
    node: usize,
    plugin: &'static str,
    addresses: Vec<IpAddr>,
}

impl Site<'_> {
    fn add(&self, node: usize, name: &str, plugin: &'static str) -> Result<Pod> {
        let namespace = create(&self.fabric.prefix, name, &POD)?;
        let mut pod = Pod { namespace, node, plugin, addresses: Vec::new() };
        let answer = self.call(&pod, "ADD")?.answer()?;
        pod.addresses = host::addresses(&answer)?;
        ensure!(pod.addresses.len() == 2, "not both families: {answer}");
        Ok(pod)
    }

    /// They reach each other, and netpath's pods beside them.
    fn meet(&self, one: &Pod, other: &Pod) -> Result<()> {
        let is_near = |sort: Sort| sort.attachment == "macvlan" && sort.segment == SEGMENT;
        let both = Family::BOTH;
        for (from, to) in [(one, other), (other, one)] {
            let near =
                self.fabric.pods.iter().filter(|pod| pod.node == to.node && is_near(pod.sort));
            let near = near.flat_map(|pod| both.map(|family| pod.address.of(family)));
            for address in to.addresses.iter().copied().chain(near) {
                let heard = probe::ping_of(&from.namespace, address, 100, Patience::EXPECTED)?;
                ensure!(heard, "{address} does not answer {}", from.namespace.name());
            }
        }
        Ok(())
    }

    fn call(&self, pod: &Pod, verb: &str) -> Result<Run> {
        let ground = Ground {
            socket: self.fabric.agents[pod.node].files.socket.clone(),
            netns: pod.namespace.path(),
            plugins: PLUGINS.into(),
        };
        let mut config = ground.config("1.0.0");
        config["type"] = pod.plugin.into();
        config["ipam"] = self.ipam.clone();
        if pod.plugin == BEFORE {
            config["master"] = nic(SEGMENT).into();
            config["mode"] = "bridge".into();
        } else {
            config["parent"] = nic(SEGMENT).into();
            config["attachment"] = "macvlan".into();
        }
        let call = ground.call(verb, pod.namespace.name(), &config);
        if pod.plugin == AFTER {
            return self.fabric.plugin().run(&call);
        }
        // It makes links where it runs.
        let node = &self.fabric.nodes[pod.node].namespace;
        node.enter(|| Plugin::new(Path::new(PLUGINS).join(pod.plugin)).run(&call))
    }
}
