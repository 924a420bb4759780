//! Finding interfaces.

use futures::{StreamExt as _, TryStreamExt as _};

use crate::netlink::{Error, Link, Netlink};

impl Netlink {
    /// The interface of a name, if there is one.
    pub async fn link_by_name(&self, name: &str) -> Result<Option<Link>, Error> {
        let answer = self.handle.link().get().match_name(name).execute();
        let action = || format!("look up interface {name}");
        one(answer.map(|link| link.map_err(Error::request(action)))).await
    }

    /// The interface of an index, if there is one.
    pub async fn link_by_index(&self, index: u32) -> Result<Option<Link>, Error> {
        let answer = self.handle.link().get().match_index(index).execute();
        let action = || format!("look up interface {index}");
        one(answer.map(|link| link.map_err(Error::request(action)))).await
    }

    /// All interfaces of the namespace.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        self.handle
            .link()
            .get()
            .execute()
            .map_ok(Link::from)
            .try_collect()
            .await
            .map_err(Error::request(|| "list the interfaces".to_owned()))
    }
}

async fn one<S>(answer: S) -> Result<Option<Link>, Error>
where
    S: futures::Stream<Item = Result<rtnetlink::packet_route::link::LinkMessage, Error>>,
{
    let mut answer = std::pin::pin!(answer);
    match answer.try_next().await {
        Ok(message) => Ok(message.map(Link::from)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
