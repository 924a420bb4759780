//! Adding routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::RouteMessageBuilder;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Adds the default route of the gateway's family. The gateway is taken to be on the link
    /// whatever the addresses say, as for a pod with a /32.
    pub async fn add_default_route(&self, index: u32, gateway: IpAddr) -> Result<(), Error> {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new()
                .gateway(gateway)
                .output_interface(index)
                .onlink()
                .build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new()
                .gateway(gateway)
                .output_interface(index)
                .onlink()
                .build(),
        };
        self.handle
            .route()
            .add(message)
            .execute()
            .await
            .map_err(Error::request(|| format!("add the default route by {gateway}")))
    }
}
