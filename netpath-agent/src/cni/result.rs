//! Results: what plugins tell runtimes, and each other, about what they made.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Version;
use crate::pod::{GivenAddress, Pod, PodRoute};

/// A result. What later versions or other plugins add is carried along.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) ips: Vec<Ip>,
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub(super) routes: Vec<Route>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) dns: Map<String, Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// An interface.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Interface {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) mac: String,
    /// From 1.1.0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mtu: Option<u32>,
    /// The container's network namespace; none: an interface of the node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) sandbox: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// An address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ip {
    pub(super) address: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gateway: Option<IpAddr>,
    /// Which of the interfaces has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interface: Option<usize>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Route {
    pub(super) dst: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gw: Option<IpAddr>,
    /// From 1.1.0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mtu: Option<u32>,
    /// From 1.1.0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u32>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// Reads a list. Plugins in Go write an empty one as null.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl From<&PodRoute> for Route {
    fn from(route: &PodRoute) -> Self {
        let PodRoute { destination: dst, gateway: gw, mtu, priority } = *route;
        Self { dst, gw, mtu, priority, more: Map::new() }
    }
}

impl From<&Route> for PodRoute {
    fn from(route: &Route) -> Self {
        let Route { dst: destination, gw: gateway, mtu, priority, more: _ } = *route;
        Self { destination, gateway, mtu, priority }
    }
}

impl Answer {
    /// Adds a pod's interface to what plugins before us made.
    pub(super) fn add(&mut self, pod: &Pod) {
        let Pod { id, netns, pod: _, parent: _, mac, mtu, addresses, routes, notes: _ } = pod;
        let interface = Some(self.interfaces.len());
        self.interfaces.push(Interface {
            name: id.interface.to_string(),
            mac: mac.clone(),
            mtu: Some(*mtu),
            sandbox: netns.to_string_lossy().into_owned(),
            more: Map::new(),
        });
        self.ips.extend(addresses.iter().map(|&GivenAddress { address, gateway }| Ip {
            address,
            gateway,
            interface,
            more: Map::new(),
        }));
        self.routes.extend(routes.iter().map(Route::from));
    }

    /// As a version writes it.
    pub(super) fn write(&self, version: Version) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        value["cniVersion"] = version.text().into();
        for (ip, written) in self.ips.iter().zip(objects(&mut value, "ips")) {
            if version < Version::V1_0_0 {
                let family = if ip.address.addr().is_ipv4() { "4" } else { "6" };
                written.insert("version".to_owned(), family.into());
            } else {
                written.remove("version");
            }
        }
        if version < Version::V1_1_0 {
            forget(&mut value, "interfaces", &["mtu", "socketPath", "pciID"]);
            forget(&mut value, "routes", &["mtu", "advmss", "priority", "table", "scope"]);
        }
        Ok(value)
    }
}

fn objects<'a>(
    value: &'a mut Value,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = value.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn forget(value: &mut Value, list: &str, keys: &[&str]) {
    for object in objects(value, list) {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}
