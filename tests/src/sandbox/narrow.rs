//! A second router between the fabric's and the remote host, behind a link that carries less.

use anyhow::Result;

use super::{
    address::{Dual, Family, Subnet},
    fabric::{Fabric, cable, create, gateway, number},
    namespace::Namespace,
    topology::ROUTER,
};

/// Bytes that the link carries, of the 1,500 of all others.
pub const MTU: u32 = 1300;

/// The router's neighbour on the link.
const FAR: u8 = 2;

/// Every error is sent: usually one a second and peer is.
const ERRORS: [(&str, &str); 2] = [("ipv4/icmp_ratelimit", "0"), ("ipv6/icmp/ratelimit", "0")];

/// The second router; the remote host is beyond it as long as this lives.
#[derive(Debug)]
pub struct Narrow {
    _far: Namespace,
}

impl Narrow {
    /// Moves the remote host behind the link, and gives it a few addresses more: what someone learns
    /// about the way to one says nothing of another.
    pub fn build(fabric: &Fabric, addresses: &[Dual]) -> Result<Self> {
        let Fabric { router, remote, .. } = fabric;
        let far = create(&fabric.prefix, "far", &ROUTER)?;
        for router in [router, &far] {
            router.sysctl(&ERRORS)?;
        }
        router.ip(&["link del remote".to_owned()])?;
        cable(router, "narrow", (&far, "near", None), None)?;
        cable(&far, "remote", (&remote.namespace, "eth0", None), None)?;
        router.ip(&[format!("link set narrow mtu {MTU}")])?;
        far.ip(&[format!("link set near mtu {MTU}")])?;
        gateway(router, "narrow", Subnet::LINK)?;
        number(&far, "near", (Subnet::LINK.host(FAR), Subnet::LINK), true)?;
        gateway(&far, "remote", Subnet::REMOTE)?;
        number(&remote.namespace, "eth0", (remote.address, Subnet::REMOTE), true)?;
        let Dual { v4, v6 } = Subnet::LINK.host(FAR);
        let [remote4, remote6] = Family::BOTH.map(|family| Subnet::REMOTE.prefix(family));
        router.ip(&[
            format!("route add {remote4} via {v4}"),
            format!("route add {remote6} via {v6}"),
        ])?;
        let more = addresses.iter().flat_map(|Dual { v4, v6 }| {
            [format!("addr add {v4}/24 dev eth0"), format!("addr add {v6}/64 dev eth0 nodad")]
        });
        remote.namespace.ip(&more.collect::<Vec<_>>())?;
        Ok(Self { _far: far })
    }
}
