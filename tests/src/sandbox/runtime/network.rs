//! CNI network configuration lists for pods of the sandbox.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::sandbox::{
    address::Family,
    topology::{INTERFACE, Pod},
};

/// A network configuration list.
#[derive(Clone, Debug)]
pub struct List {
    /// The network's name.
    pub name: String,
    /// The plugins' configurations, in the order of their calls.
    pub plugins: Vec<Value>,
}

impl List {
    /// Writes the list into a folder, which is created, as a runtime wants to find it.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let Self { name, plugins } = self;
        let text = json!({"cniVersion": "1.0.0", "name": name, "plugins": plugins}).to_string();
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let path = folder.join(format!("{name}.conflist"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// The reference plugin of containernetworking-plugins: plain ipvlan L2, addresses by host-local
/// that has no choice but the pod's.
#[must_use]
pub fn reference(pod: &Pod, state: &Path) -> List {
    let ranges: Vec<_> = Family::BOTH
        .map(|family| {
            let address = pod.place.address.of(family);
            let gateway = pod.subnet.gateway().of(family);
            json!([{
                "subnet": pod.subnet.prefix(family),
                "rangeStart": address, "rangeEnd": address, "gateway": gateway,
            }])
        })
        .into();
    let ipvlan = json!({
        "type": "ipvlan", "master": INTERFACE, "mode": "l2",
        "ipam": {
            "type": "host-local", "ranges": ranges, "dataDir": state,
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    });
    List { name: format!("reference-{}", pod.place.name), plugins: vec![ipvlan, ping_sockets()] }
}

/// The chained plugin `tuning`, so that programs in the container may ping without privileges.
#[must_use]
pub fn ping_sockets() -> Value {
    json!({"type": "tuning", "sysctl": {"net.ipv4.ping_group_range": "0 0"}})
}
