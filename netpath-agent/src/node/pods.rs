//! Pods as container runtimes ask for them.

use std::net::IpAddr;

use super::{
    Error, Node, Shared, add,
    add::{Wanted, turn},
    asked, parents, remove,
    turns::Turn,
};
use crate::{
    api::types::Added,
    attachment::Attachment,
    endpoint::{Attached, EndpointSpec, Record},
    error::chain,
    kube::types::Owner,
    name::{EndpointName, InterfaceName},
    netlink,
    pod::{
        Addressing, Collected, GivenAddress, Keep, Pod, PodId, PodRoute, PodSpec, ReadyQuestion,
    },
    store::Change,
};

/// Attaches a pod. If it can not be, its events say why.
pub(super) async fn add(node: &Shared, spec: &PodSpec) -> Result<Added<Pod>, Error> {
    let added = attach(node, spec).await;
    if let (Err(error), Some(pod)) = (&added, &spec.pod)
        && let Some(cluster) = &node.lock().await.cluster
    {
        cluster.events.failed(pod, error);
    }
    added
}

async fn attach(node: &Shared, spec: &PodSpec) -> Result<Added<Pod>, Error> {
    let request = asked::resolve(node, spec).await?;
    let Added { created, item } = add::add(node, &request).await?;
    let node = node.lock().await;
    // It has just been there: a removal that came between has the next turn.
    let item = node.show_pod(&item).ok_or_else(|| Error::NoPod(spec.id.clone()))?;
    Ok(Added { created, item })
}

/// Detaches a pod.
pub(super) async fn remove(node: &Shared, id: &PodId) -> Result<Pod, Error> {
    let missing = || Error::NoPod(id.clone());
    let name = name(id).map_err(|_| missing())?;
    let pod = {
        let _turn = turn(node, &name).await;
        let node = node.lock().await;
        node.state.endpoint(&name).and_then(|record| node.show_pod(record)).ok_or_else(missing)?
    };
    match remove::remove(node, &name).await {
        // Another removal came between.
        Ok(_) | Err(Error::NoEndpoint(_)) => Ok(pod),
        Err(error) => Err(error),
    }
}

/// Detaches the pods of a network that the runtime no longer has. It goes on past what fails.
pub(super) async fn collect(node: &Shared, keep: &Keep) -> Result<Collected, Error> {
    let gone: Vec<PodId> = {
        let node = node.lock().await;
        let ids =
            node.state.endpoints().filter_map(|record| Some(&record.attached.as_ref()?.spec.id));
        ids.filter(|id| id.network == keep.network && !keep.keep.contains(id)).cloned().collect()
    };
    let mut collected = Collected::default();
    let mut errors = Vec::new();
    for id in gone {
        match remove(node, &id).await {
            Ok(_) | Err(Error::NoPod(_)) => {
                tracing::info!(pod = %id, "the runtime no longer has it; collected");
                collected.removed.push(id);
            }
            Err(error) => {
                tracing::warn!(pod = %id, error = chain(&error), "can not be collected");
                errors.push(error);
            }
        }
    }
    if errors.is_empty() {
        return Ok(collected);
    }
    Err(Error::Remaining { what: format!("network {}", keep.network), errors })
}

/// The endpoint's name of a pod. Should dots make two identities look the same, the second one is
/// refused: the record has the whole of it.
pub(super) fn name(id: &PodId) -> Result<EndpointName, Error> {
    let PodId { network, container, interface } = id;
    format!("{network}.{container}.{interface}").parse().map_err(|source| Error::Pod {
        field: "id",
        problem: format!("{id} can not be made a name: {source}"),
    })
}

/// A pod's attachment, as the cluster would have it.
pub(super) struct Request {
    /// As the runtime asks for it.
    pub(super) asked: PodSpec,
    /// As it is to be attached.
    pub(super) spec: PodSpec,
    /// Whose fixed addresses it has, and the right to work on them.
    pub(super) fixed: Option<(Owner, Turn)>,
}

impl Wanted for Request {
    fn name(&self) -> Result<EndpointName, Error> {
        name(&self.asked.id)
    }

    fn is(&self, record: &Record) -> Result<(), Error> {
        let asked = |attached: &Attached| {
            *attached.asked.as_deref().unwrap_or(&attached.spec) == self.asked
        };
        let is_same = record.attached.as_ref().is_some_and(asked);
        is_same.then_some(()).ok_or_else(|| Error::PodTaken(self.asked.id.clone()))
    }

    fn plan(&self, node: &mut Node) -> Result<(Record, Vec<Change>), Error> {
        let spec = &self.spec;
        check_routes(&spec.routes)?;
        let parent = node.choose_parent(spec)?;
        let (addresses, changes) = node.choose_addresses(&spec.id, &spec.addressing)?;
        match self.draft(node, parent, addresses) {
            Ok(record) => Ok((record, changes)),
            Err(error) => {
                let released = node.release_addresses(&spec.id);
                node.journal.note(changes.into_iter().chain(released).collect());
                Err(error)
            }
        }
    }

    fn has_choice(&self) -> bool {
        matches!(&self.spec.addressing, Addressing::Pools { requested, .. } if requested.is_empty())
    }
}

impl Request {
    fn draft(
        &self,
        node: &Node,
        parent: InterfaceName,
        addresses: Vec<GivenAddress>,
    ) -> Result<Record, Error> {
        let spec = &self.spec;
        let mut gateways: Vec<IpAddr> = Vec::new();
        for gateway in addresses.iter().filter_map(|given| given.gateway) {
            if spec.default_route && !gateways.iter().any(|g| g.is_ipv4() == gateway.is_ipv4()) {
                gateways.push(gateway);
            }
        }
        let record = node.draft(EndpointSpec {
            name: name(&spec.id)?,
            netns: spec.netns.clone(),
            interface: spec.id.interface.clone(),
            parent,
            attachment: spec.attachment,
            addresses: addresses.iter().map(|given| given.address).collect(),
            gateways,
            table: spec.table,
            mtu: spec.mtu,
        })?;
        let attached = Attached {
            spec: spec.clone(),
            asked: (self.asked != *spec).then(|| Box::new(self.asked.clone())),
            addresses,
            fixed: self.fixed.as_ref().map(|(owner, _)| owner.clone()),
        };
        Ok(Record { attached: Some(attached), ..record })
    }
}

fn check_routes(routes: &[PodRoute]) -> Result<(), Error> {
    for PodRoute { destination, gateway, .. } in routes {
        let problem = if *destination != destination.trunc() {
            format!("{destination} has bits set behind its length; write {}", destination.trunc())
        } else if destination.addr().is_multicast() {
            format!("{destination} is multicast, which pods can use without a route")
        } else if let Some(gateway) = gateway
            && gateway.is_ipv4() != destination.addr().is_ipv4()
        {
            format!("{gateway} is not of the family of {destination}")
        } else {
            continue;
        };
        return Err(Error::Pod { field: "routes", problem });
    }
    Ok(())
}

impl Node {
    /// All pods, by name.
    pub(super) fn list_pods(&self) -> Vec<Pod> {
        self.state.endpoints().filter_map(|record| self.show_pod(record)).collect()
    }

    /// Whether pods can be added, and if not, why.
    pub(super) async fn ready(&self, question: &ReadyQuestion) -> Result<(), Error> {
        let ReadyQuestion { network: _, parent } = question;
        if !self.knows_cluster() {
            return Err(Error::ClusterUnknown);
        }
        let (all, links) = (&self.config.parents, self.netlink.links().await?);
        let Some(name) = parent else { return parents::check(all, &links) };
        let Some(parent) = all.iter().find(|parent| parent.name == *name) else {
            return Err(Error::UnknownParent { name: name.clone(), known: self.parents() });
        };
        let problem = parents::problem(parent, all, &links);
        problem.map_or(Ok(()), |problem| Err(Error::parent(parent, problem)))
    }

    /// As the runtime is told; nothing for what no runtime asked for.
    pub(super) fn show_pod(&self, record: &Record) -> Option<Pod> {
        let Attached { spec, addresses, .. } = record.attached.clone()?;
        let parent = self.state.parents.get(&record.spec.parent);
        let link = parent.map(|parent| &parent.link);
        let routes = self.wiring(record).map(|wiring| wiring.routes().to_vec());
        let route = |netlink::Route { destination, gateway, mtu, priority }| PodRoute {
            destination,
            gateway,
            mtu,
            priority: (priority != 0).then_some(priority),
        };
        Some(Pod {
            id: spec.id,
            netns: spec.netns,
            pod: spec.pod,
            parent: Some(record.spec.parent.clone()),
            mac: record
                .mac_on_the_wire()
                .or(record.mac())
                .or(link.and_then(|link| link.mac))
                .map(|mac| mac.to_string())
                .unwrap_or_default(),
            mtu: spec
                .mtu
                .or(record.nic.as_ref().map(|nic| nic.mtu))
                .or(link.map(|link| link.mtu))
                .unwrap_or_default(),
            addresses,
            routes: routes.unwrap_or_default().into_iter().map(route).collect(),
            notes: Vec::new(),
        })
    }

    /// The parent of that name, or the only one; for a NIC of its own, the first one that is free.
    fn choose_parent(&self, spec: &PodSpec) -> Result<InterfaceName, Error> {
        if let Some(name) = &spec.parent {
            return Ok(name.clone());
        }
        if spec.attachment == Some(Attachment::Exclusive) {
            let taken = |name: &InterfaceName| {
                self.state.endpoints().any(|record| record.spec.parent == *name)
            };
            let free = self.state.nics.keys().find(|name| !taken(name));
            return free.cloned().ok_or(Error::NoNicLeft);
        }
        match self.config.parents.as_slice() {
            [parent] => Ok(parent.name.clone()),
            _ => Err(Error::NoParentNamed(self.parents())),
        }
    }
}
