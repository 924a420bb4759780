//! Changing interfaces.

use netpath_common::Mac;
use rtnetlink::{
    LinkMessageBuilder, LinkUnspec,
    packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute},
};

use crate::netlink::{Error, Namespace, Netlink};

impl Netlink {
    /// Gives an interface, which must be down, its name, the mark that it is ours, and its MTU in
    /// bytes if it is not to be its parent's; and keeps the kernel from giving it IPv6 addresses of
    /// its own choice.
    pub async fn introduce(
        &self,
        index: u32,
        name: &str,
        alias: &str,
        mtu: Option<u32>,
    ) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(index)
            .name(name)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()))
            .append_extra_attribute(no_link_local());
        let link = match mtu {
            Some(mtu) => link.mtu(mtu),
            None => link,
        };
        self.set(link, || format!("name interface {index} {name}")).await
    }

    /// Gives an interface, which must be down, its name and the mark that it is ours, both at once.
    pub async fn set_name(&self, index: u32, name: &str, alias: &str) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(index)
            .name(name)
            .append_extra_attribute(LinkAttribute::IfAlias(alias.to_owned()));
        self.set(link, || format!("name interface {index} {name}")).await
    }

    /// Sets an interface up.
    pub async fn set_up(&self, index: u32) -> Result<(), Error> {
        self.set(LinkUnspec::new_with_index(index).up(), || format!("set interface {index} up"))
            .await
    }

    /// Sets an interface down.
    pub async fn set_down(&self, index: u32) -> Result<(), Error> {
        self.set(LinkUnspec::new_with_index(index).down(), || format!("set interface {index} down"))
            .await
    }

    /// Moves an interface into another namespace under another name; it goes down on the way and
    /// loses its addresses.
    pub async fn move_link(
        &self,
        index: u32,
        name: &str,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(index).name(name).setns_by_fd(namespace.fd());
        self.set(link, || format!("move interface {index} as {name}")).await
    }

    /// Gives an interface its name, its Ethernet address and its MTU in bytes back; it is down then.
    pub async fn restore_link(
        &self,
        index: u32,
        name: &str,
        mac: Mac,
        mtu: u32,
    ) -> Result<(), Error> {
        self.set_down(index).await?;
        let link =
            LinkUnspec::new_with_index(index).name(name).address(mac.octets.to_vec()).mtu(mtu);
        self.set(link, || format!("restore interface {name}")).await
    }

    /// Sets the largest packet, in bytes.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Error> {
        self.set(LinkUnspec::new_with_index(index).mtu(mtu), || {
            format!("set the MTU of interface {index} to {mtu}")
        })
        .await
    }

    /// Sets the Ethernet address.
    pub async fn set_mac(&self, index: u32, mac: Mac) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(index).address(mac.octets.to_vec());
        self.set(link, || format!("set the Ethernet address of interface {index} to {mac}")).await
    }

    /// Marks an interface as ours.
    pub async fn set_alias(&self, index: u32, alias: &str) -> Result<(), Error> {
        let alias = LinkAttribute::IfAlias(alias.to_owned());
        self.set(LinkUnspec::new_with_index(index).append_extra_attribute(alias), || {
            format!("set the alias of interface {index}")
        })
        .await
    }

    /// Keeps the kernel from giving an interface IPv6 addresses of its own choice. Only an
    /// existing interface takes this: the kernel ignores it in the request that creates one.
    pub async fn set_no_link_local(&self, index: u32) -> Result<(), Error> {
        let spec = no_link_local();
        self.set(LinkUnspec::new_with_index(index).append_extra_attribute(spec), || {
            format!("turn off the link-local addresses of interface {index}")
        })
        .await
    }

    async fn set(
        &self,
        link: LinkMessageBuilder<LinkUnspec>,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.handle.link().set(link.build()).execute().await.map_err(Error::request(action))
    }
}

fn no_link_local() -> LinkAttribute {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])])
}
