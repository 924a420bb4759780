//! A node takes the addresses of a pod, and lets them go.

use std::{mem, net::IpAddr};

use ipnet::IpNet;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt as _;
use tokio::time::{Instant, sleep};

use super::{Error, Hold, Registry, Wish};
use crate::{
    error::chain,
    kube::{
        pools::View,
        report::Ready,
        request::{self, Failed, TRIES},
        types::{FINALIZER, Fixed, FixedIP, Owner},
    },
    pod::GivenAddress,
};

/// How far a try came.
enum Try {
    /// The addresses are this node's.
    Held(Hold),
    /// Somebody else came before.
    Changed,
    /// Another node has them.
    Away(String),
}

impl Registry {
    /// Makes a pod's addresses this node's: those that it had before, or asks for, or chosen ones. Waits a
    /// while for a node that has them, and for the API server.
    pub async fn hold(&self, wish: &Wish<'_>, view: &View) -> Result<Hold, Error> {
        let deadline = Instant::now() + self.timing.patience;
        loop {
            let owner = wish.owner;
            let error = match self.attempt(wish, view).await {
                Ok(Try::Held(hold)) => return Ok(hold),
                Ok(Try::Changed) => Failed::Contended(format!("FixedIP {owner}")).into(),
                Ok(Try::Away(node)) => Error::Away { owner: owner.clone(), node },
                Err(error) if error.is_passing() => error,
                Err(error) => {
                    // The runtime is told in any case.
                    let _ = self.refuse(owner, &error).await;
                    return Err(error);
                }
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            if !matches!(error, Error::Request(Failed::Contended(_))) {
                sleep(self.timing.poll).await;
            }
        }
    }

    /// Makes addresses this node's again that it had. None: they are somebody else's.
    pub(super) async fn regain(&self, wish: &Wish<'_>, view: &View) -> Result<Option<Hold>, Error> {
        match self.attempt(wish, view).await {
            Ok(Try::Held(hold)) => Ok(Some(hold)),
            Ok(Try::Away(_)) | Err(Error::Taken { .. } | Error::Other { .. }) => Ok(None),
            Ok(Try::Changed) => Err(Failed::Contended(format!("FixedIP {}", wish.owner)).into()),
            Err(error) => Err(error),
        }
    }

    async fn attempt(&self, wish: &Wish<'_>, view: &View) -> Result<Try, Error> {
        let owner = wish.owner;
        let api = self.api(owner);
        let wanted = match wish.fixed {
            Fixed::These(addresses) => addresses.as_slice(),
            Fixed::Any | Fixed::No => &[],
        };
        let mut object = match self.get(owner).await? {
            Some(object) => object,
            None => match request::create(&api, &FixedIP::of(owner, wanted), "FixedIP").await? {
                Some(object) => object,
                None => return Ok(Try::Changed),
            },
        };
        if let Some(node) = object.node()
            && node != self.node
            && !self.is_dead(node).await?
        {
            return Ok(Try::Away(node.to_owned()));
        }
        if object.is_leaving() {
            self.release(object).await?;
            return Ok(Try::Changed);
        }
        if !object.finalizers().iter().any(|it| it == FINALIZER) {
            object.finalizers_mut().push(FINALIZER.to_owned());
            let Some(replaced) = request::replace(&api, &object, "FixedIP").await? else {
                return Ok(Try::Changed);
            };
            object = replaced;
        }
        let invalid = |invalid| Error::Invalid { owner: owner.clone(), invalid: Box::new(invalid) };
        let mut addresses = object.addresses().map_err(invalid)?;
        if addresses.is_empty() {
            addresses = match wanted {
                [] => self.choose(&object, wish, view).await?,
                wanted => wanted.to_vec(),
            };
            object.spec.addresses = texts(&addresses);
            let Some(replaced) = request::replace(&api, &object, "FixedIP").await? else {
                return Ok(Try::Changed);
            };
            object = replaced;
        }
        check_wanted(owner, &addresses, wanted)?;
        addresses.sort_by_key(IpAddr::is_ipv6);
        if object.status.as_ref().is_none_or(|it| it.addresses != texts(&addresses)) {
            for address in &addresses {
                self.record(&object, *address, view).await?;
            }
        }
        let given = addresses.iter().map(|address| given(*address, view));
        let given = given.collect::<Result<_, _>>()?;
        self.take(&mut object, &addresses);
        let Some(object) = request::replace_status(&api, &object, "FixedIP").await? else {
            return Ok(Try::Changed);
        };
        let uid = object.uid().unwrap_or_default();
        Ok(Try::Held(Hold { owner: owner.clone(), uid, addresses: given, leaving: false }))
    }

    /// Writes that this node has the addresses.
    fn take(&self, object: &mut FixedIP, addresses: &[IpAddr]) {
        let generation = object.metadata.generation;
        let status = object.status.get_or_insert_default();
        let now = Time(Timestamp::now());
        if status.node.as_ref() != Some(&self.node) {
            status.since = Some(now.clone());
        }
        status.node = Some(self.node.clone());
        status.addresses = texts(addresses);
        status.released_at = None;
        status.observed_generation = generation;
        let ready = Ready::yes("Recorded", "the addresses are this pod's");
        status.conditions = ready.tell(mem::take(&mut status.conditions), generation, now.0);
    }

    /// Writes why a pod does not get its addresses. Whoever comes before says something newer.
    async fn refuse(&self, owner: &Owner, error: &Error) -> Result<(), Failed> {
        let Some(mut object) = self.get(owner).await? else { return Ok(()) };
        let generation = object.metadata.generation;
        let status = object.status.get_or_insert_default();
        let ready = Ready::no(error.reason(), chain(error));
        let before = mem::take(&mut status.conditions);
        status.conditions = ready.tell(before.clone(), generation, Timestamp::now());
        status.observed_generation = generation;
        if status.conditions == before {
            return Ok(());
        }
        request::replace_status(&self.api(owner), &object, "FixedIP").await.map(drop)
    }

    /// Whether a `FixedIP` of this UID has addresses on this node, by the API server's word.
    pub(super) async fn holds(&self, owner: &Owner, uid: &str) -> Result<bool, Failed> {
        Ok(self.get(owner).await?.is_some_and(|object| self.is_own(&object, uid)))
    }

    /// Whether a `FixedIP` of this UID is there.
    pub(super) async fn exists(&self, owner: &str, uid: &str) -> Result<bool, Failed> {
        let Some((namespace, name)) = owner.split_once('/') else { return Ok(false) };
        let owner = Owner { namespace: namespace.to_owned(), name: name.to_owned() };
        Ok(self.get(&owner).await?.is_some_and(|object| object.uid().as_deref() == Some(uid)))
    }

    /// Lets the addresses go, if this node has them. Nothing may use them any more.
    pub async fn let_go(&self, owner: &Owner, uid: &str) -> Result<(), Failed> {
        for _ in 0..TRIES {
            let object = self.get(owner).await?.filter(|object| self.is_own(object, uid));
            let Some(object) = object else { return Ok(()) };
            if self.release(object).await? {
                return Ok(());
            }
        }
        Err(Failed::Contended(format!("FixedIP {owner}")))
    }

    /// Writes that no node has the addresses; one that leaves is finished. Returns whether nobody had come
    /// before.
    pub(super) async fn release(&self, mut object: FixedIP) -> Result<bool, Failed> {
        let api = self.api(&object.owner());
        if object.node().is_some() {
            let status = object.status.get_or_insert_default();
            (status.node, status.since) = (None, None);
            status.released_at = Some(Time(Timestamp::now()));
            match request::replace_status(&api, &object, "FixedIP").await? {
                Some(released) => object = released,
                None => return Ok(false),
            }
        }
        if !object.is_leaving() {
            return Ok(true);
        }
        self.erase(&object).await?;
        object.finalizers_mut().retain(|it| it != FINALIZER);
        Ok(request::replace(&api, &object, "FixedIP").await?.is_some())
    }
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn check_wanted(owner: &Owner, has: &[IpAddr], wanted: &[IpAddr]) -> Result<(), Error> {
    let is_same = wanted.len() == has.len() && wanted.iter().all(|address| has.contains(address));
    if wanted.is_empty() || is_same {
        return Ok(());
    }
    let list = |addresses: &[IpAddr]| texts(addresses).join(" and ");
    Err(Error::Other { owner: owner.clone(), has: list(has), wanted: list(wanted) })
}

/// An address with what a pod must know about its subnet.
fn given(address: IpAddr, view: &View) -> Result<GivenAddress, Error> {
    let mut pools = view.pools.values().map(|wanted| &wanted.pool);
    let pool = pools.find(|pool| pool.blocks.of(address).is_some());
    let spec = &pool.ok_or(Error::NoPool(address))?.spec;
    // The length is one of this family already.
    let net = IpNet::new(address, spec.subnet.prefix_len()).unwrap_or_else(|_| address.into());
    Ok(GivenAddress { address: net, gateway: spec.gateway })
}
