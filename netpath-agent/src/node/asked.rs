//! A pod's attachment as the cluster would have it: its Network, its annotations, and the pools that are for
//! it.

use kube::core::SelectorExt as _;

use super::{Error, Node, Shared, fixed, pods::Request};
use crate::{
    kube::{
        pods::{Asked, Said},
        pools::View,
        types::{Fixed, selector},
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
    node.lock().await.fill(&mut request.spec, &said, &wanted)?;
    if wanted.wishes.fixed == Fixed::No {
        return Ok(request);
    }
    let Addressing::Pools { pools, .. } = &request.spec.addressing else {
        return Err(Error::FixedByPlugin);
    };
    let pools = match pools.as_slice() {
        [] => usual(&cluster.views.borrow(), &said),
        named => named.to_vec(),
    };
    let owner = said.pod.clone();
    let (addresses, turn) =
        fixed::hold(node, &cluster, &owner, &wanted.wishes.fixed, &pools).await?;
    request.spec.addressing = Addressing::Given { addresses };
    request.fixed = Some((owner, turn));
    Ok(request)
}

/// The pools of the cluster for a pod that names none, in order of preference.
fn usual(view: &View, said: &Said) -> Vec<String> {
    let is_usual = |(name, wanted): (&String, &crate::kube::pools::Wanted)| {
        let pool = &wanted.pool;
        let fits = pool.spec.default
            && pool.namespaces.matches(&said.namespace)
            && pool.pods.matches(&said.labels);
        fits.then(|| (std::cmp::Reverse(pool.priority), name.clone()))
    };
    let mut usual: Vec<_> = view.pools.iter().filter_map(is_usual).collect();
    usual.sort();
    usual.into_iter().map(|(_, name)| name).collect()
}

impl Node {
    /// Puts what a pod asks for into its attachment.
    fn fill(&self, spec: &mut PodSpec, said: &Said, asked: &Asked) -> Result<(), Error> {
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
        if let Addressing::Pools { pools, .. } = &mut spec.addressing {
            if !asked.pools().is_empty() {
                *pools = asked.pools().to_vec();
            }
            if pools.is_empty() {
                *pools = self.usual_pools(said);
            } else {
                pools.iter().try_for_each(|pool| self.check_pool(pool, said))?;
            }
        }
        Ok(())
    }

    /// The pools for a pod that names none, in order of preference: those of the file, then those of the
    /// cluster that are for it. None: as for pods that no cluster knows.
    fn usual_pools(&self, said: &Said) -> Vec<String> {
        let status = self.ipam.status();
        let usual = status.into_iter().filter(|pool| match self.pools.shares().get(&pool.name) {
            Some(share) => {
                share.spec.as_ref().is_some_and(|spec| spec.default)
                    && selects(share.namespaces.as_ref(), &said.namespace)
                    && selects(share.pods.as_ref(), &said.labels)
            }
            None => pool.default,
        });
        usual.map(|pool| pool.name).collect()
    }

    /// Whether a pool is for a pod that names it.
    fn check_pool(&self, pool: &str, said: &Said) -> Result<(), Error> {
        let Some(share) = self.pools.shares().get(pool) else { return Ok(()) };
        if selects(share.namespaces.as_ref(), &said.namespace)
            && selects(share.pods.as_ref(), &said.labels)
        {
            return Ok(());
        }
        Err(Error::PoolNotFor { pool: pool.to_owned(), owner: said.pod.clone() })
    }
}

/// Whether a selector of the cluster selects labels. It was checked when it was heard.
fn selects(
    written: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    labels: &crate::kube::pods::Labels,
) -> bool {
    selector("", written).is_ok_and(|selector| selector.matches(labels))
}
