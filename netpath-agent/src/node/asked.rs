//! A pod's attachment as the cluster would have it: its Network, its annotations, and the pools that are for
//! it.

use std::{cmp::Reverse, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::SelectorExt as _;

use super::{Error, Node, Shared, fixed, pods::Request};
use crate::{
    kube::{
        pods::{Asked, Labels, Said},
        pools::{Share, View, Wanted},
        types::{Fixed, Pool, selector},
    },
    pod::{Addressing, PodSpec},
    route::Table,
};

/// Finds out how a pod is to be attached. Its fixed addresses are this node's then.
pub(super) async fn resolve(node: &Shared, asked: &PodSpec) -> Result<Request, Error> {
    let plain = || Request { asked: asked.clone(), spec: asked.clone(), fixed: None };
    let cluster = node.lock().await.cluster.clone();
    let Some(cluster) = cluster else {
        return asked.network.as_ref().map_or_else(|| Ok(plain()), |_| Err(Error::NoCluster));
    };
    let said = match &asked.pod {
        Some(pod) => cluster.find(node, pod).await?,
        None => None,
    };
    let Some(said) = said else {
        return match &asked.network {
            Some(_) => Err(Error::NoCluster),
            None => Ok(plain()),
        };
    };
    let wanted = said.asked(&asked.id.interface, asked.network.as_deref())?;
    let mut request = plain();
    let view = cluster.views.borrow().clone();
    node.lock().await.fill(&mut request.spec, &said, &wanted, &view)?;
    if wanted.wishes.fixed == Fixed::No {
        return Ok(request);
    }
    let Addressing::Pools { pools: configured, .. } = &asked.addressing else {
        return Err(Error::FixedByPlugin);
    };
    let pools = match (wanted.pools(), configured.as_slice()) {
        ([], []) => usual(&view, &said),
        ([], named) | (named, _) => named.to_vec(),
    };
    if let Fixed::These(addresses) = &wanted.wishes.fixed {
        check_addresses(addresses, &view, &said)?;
    }
    let owner = said.pod.clone();
    let (addresses, turn) =
        fixed::hold(node, &cluster, &owner, &wanted.wishes.fixed, &pools).await?;
    request.spec.addressing = Addressing::Given { addresses };
    request.fixed = Some((owner, turn));
    Ok(request)
}

/// The pools of the cluster for a pod that names none, in order of preference.
fn usual(view: &View, said: &Said) -> Vec<String> {
    let is_usual = |(name, wanted): (&String, &Wanted)| {
        let is = wanted.pool.spec.default && is_for(&wanted.pool, said);
        is.then(|| (Reverse(wanted.pool.priority), name.clone()))
    };
    let mut usual: Vec<_> = view.pools.iter().filter_map(is_usual).collect();
    usual.sort();
    usual.into_iter().map(|(_, name)| name).collect()
}

/// Whether the pools of addresses that a pod asks for are for it.
fn check_addresses(addresses: &[IpAddr], view: &View, said: &Said) -> Result<(), Error> {
    for address in addresses {
        let mut pools = view.pools.iter().map(|(name, wanted)| (name, &wanted.pool));
        let found = pools.find(|(_, pool)| pool.blocks.of(*address).is_some());
        if let Some((name, _)) = found.filter(|(_, pool)| !is_for(pool, said)) {
            return Err(Error::PoolNotFor { pool: name.clone(), owner: said.pod.clone() });
        }
    }
    Ok(())
}

/// Whether a pool is for a pod.
fn is_for(pool: &Pool, said: &Said) -> bool {
    pool.namespaces.matches(&said.namespace) && pool.pods.matches(&said.labels)
}

impl Node {
    /// Puts what a pod asks for into its attachment.
    fn fill(
        &self,
        spec: &mut PodSpec,
        said: &Said,
        asked: &Asked,
        view: &View,
    ) -> Result<(), Error> {
        spec.routes = asked.routes(&spec.routes);
        spec.bandwidth = spec.bandwidth.or(asked.wishes.bandwidth);
        if let Some((name, wiring)) = &asked.network {
            if !wiring.parents.is_empty() {
                let is_here = |parent: &&_| {
                    self.state.parents.contains_key(*parent)
                        || self.state.nics.contains_key(*parent)
                };
                let parent = wiring.parents.iter().find(is_here);
                spec.parent = Some(parent.cloned().ok_or_else(|| Error::NetworkElsewhere {
                    network: name.clone(),
                    known: self.parents(),
                })?);
            }
            spec.attachment = wiring.attachment.or(spec.attachment);
            spec.mtu = wiring.mtu.or(spec.mtu);
            spec.default_route = wiring.default_route.unwrap_or(spec.default_route);
            if wiring.table != Table::default() {
                spec.table = wiring.table;
            }
        }
        if let Addressing::Pools { pools, requested, .. } = &mut spec.addressing {
            if !asked.pools().is_empty() {
                *pools = asked.pools().to_vec();
            }
            if pools.is_empty() {
                // Who asks for the very addresses may have them of any pool that is for it.
                check_addresses(requested, view, said)?;
                if requested.is_empty() {
                    *pools = self.usual_pools(said);
                }
            } else {
                pools.iter().try_for_each(|pool| self.check_pool(pool, said, view))?;
            }
        }
        Ok(())
    }

    /// The pools for a pod that names none, in order of preference: those of the file, then those of the
    /// cluster that are for it.
    fn usual_pools(&self, said: &Said) -> Vec<String> {
        let status = self.ipam.status();
        let usual = status.into_iter().filter(|pool| match self.pools.shares().get(&pool.name) {
            Some(share) => {
                share.spec.as_ref().is_some_and(|spec| spec.default) && shares_with(share, said)
            }
            None => pool.default,
        });
        usual.map(|pool| pool.name).collect()
    }

    /// Whether a pool is for a pod that names it: by what the cluster says, or said before.
    fn check_pool(&self, pool: &str, said: &Said, view: &View) -> Result<(), Error> {
        let is_for = match (view.pools.get(pool), self.pools.shares().get(pool)) {
            (Some(wanted), _) => is_for(&wanted.pool, said),
            (None, Some(share)) => shares_with(share, said),
            // Of the file, or it is not there: that is found out elsewhere.
            (None, None) => true,
        };
        let refused = || Error::PoolNotFor { pool: pool.to_owned(), owner: said.pod.clone() };
        is_for.then_some(()).ok_or_else(refused)
    }
}

/// Whether what this node has of a pool is for a pod. Selectors were checked when they were heard.
fn shares_with(share: &Share, said: &Said) -> bool {
    let selects = |written: &Option<LabelSelector>, labels: &Labels| {
        selector("", written.as_ref()).is_ok_and(|selector| selector.matches(labels))
    };
    selects(&share.namespaces, &said.namespace) && selects(&share.pods, &said.labels)
}
