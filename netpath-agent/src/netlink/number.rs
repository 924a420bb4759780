//! Numbers by which one namespace knows another.

use std::os::fd::RawFd;

use futures::StreamExt as _;
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        RouteNetlinkMessage,
        nsid::{NsidAttribute, NsidMessage},
    },
};

use super::{Error, Namespace, Netlink};

impl Netlink {
    /// The number of a namespace, given to it if it has none yet. From then on its events reach
    /// this namespace's monitors; the number goes when the namespace does.
    pub async fn number(&self, namespace: &Namespace) -> Result<i32, Error> {
        let descriptor = NsidAttribute::Fd(descriptor(namespace.fd()));
        let new =
            RouteNetlinkMessage::NewNsId(message([descriptor.clone(), NsidAttribute::Id(-1)]));
        match self.ask(new, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK).await {
            Err(error) if error.errno() != Some(nix::libc::EEXIST) => return Err(error),
            _ => {}
        }
        let number = self.ask(RouteNetlinkMessage::GetNsId(message([descriptor])), 0).await?;
        number.ok_or_else(|| Error::Answer {
            action: ACTION.to_owned(),
            source: rtnetlink::Error::RequestFailed,
        })
    }

    async fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Option<i32>, Error> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let failed = || Error::request(|| ACTION.to_owned());
        let mut answers = self.handle.clone().request(request).map_err(failed())?;
        let mut number = None;
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(failed()(rtnetlink::Error::NetlinkError(error)));
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(message)) => {
                    number = message.attributes.iter().find_map(id);
                }
                _ => {}
            }
        }
        Ok(number)
    }
}

const ACTION: &str = "number a network namespace";

fn message<const N: usize>(attributes: [NsidAttribute; N]) -> NsidMessage {
    let mut message = NsidMessage::default();
    message.attributes = attributes.into();
    message
}

/// -1: it has none.
fn id(attribute: &NsidAttribute) -> Option<i32> {
    match attribute {
        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
        _ => None,
    }
}

/// An open file's descriptor is not negative.
const fn descriptor(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}
