//! Why the node can not do what it was asked to.

mod meaning;
mod parent;

use std::{io, net::IpAddr, path::PathBuf, sync::Arc};

use ipnet::IpNet;
use netpath_common::Mac;

pub use self::meaning::Kind;
pub(super) use self::parent::ParentProblem;
use crate::{
    announce, api,
    attachment::Attachment,
    config, datapath, endpoint,
    error::chain,
    ipam,
    kube::{self, types::Owner},
    name::{EndpointName, InterfaceName},
    netlink,
    pod::{PodId, PodName},
    route,
    service::{self, ServiceName, registry::Origin},
    store,
};

/// A start, a request or a repair failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Attaching programs and making links takes `CAP_NET_ADMIN`, `CAP_BPF` and `CAP_SYS_ADMIN`.
    #[error("netpath-agent must run as root; use sudo, or the container of deploy/")]
    NotRoot,
    /// The bpf file system can not be had.
    #[error("agent.pins {}: no bpf file system there, and none can be mounted on {}; mount one, or use a path below /sys/fs/bpf", pins.display(), mount.display())]
    Bpffs {
        /// The directory of the pins.
        pins: PathBuf,
        /// Where the file system should be.
        mount: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A parent can not be used.
    #[error("parent {name}: {problem}")]
    Parent {
        /// The parent.
        name: InterfaceName,
        /// Why not.
        problem: Box<ParentProblem>,
    },
    /// No VLANs.
    #[error("parent {name}: this kernel makes no VLANs; load its module 8021q, or use another one")]
    NoVlans {
        /// The parent.
        name: InterfaceName,
        /// Why not.
        source: Box<netlink::Error>,
    },
    /// The kernel entry's name is taken.
    #[error(
        "interface {0}: exists and is no dummy device, so it is not netpath's; rename or remove it"
    )]
    EntryTaken(&'static str),
    /// A sysctl can not be set.
    #[error("sysctl {}: can not be set", path.display())]
    Sysctl {
        /// The file below /proc/sys.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A write to the store failed, for all who waited for it.
    #[error(transparent)]
    Journal(Arc<store::Error>),
    /// Netlink failed.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// Programs, maps or links failed.
    #[error(transparent)]
    Datapath(#[from] datapath::Error),
    /// The API's socket can not be made.
    #[error(transparent)]
    Listen(#[from] api::ListenError),
    /// The system refused something small.
    #[error("can not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// An endpoint that is wrong by itself.
    #[error("endpoint: {field}: {0}", field = .0.field())]
    Endpoint(#[from] endpoint::Invalid),
    /// An endpoint whose name is taken by another.
    #[error("endpoint {0} exists with other settings; remove it first or choose another name")]
    NameTaken(EndpointName),
    /// An address that an endpoint has.
    #[error(
        "endpoint: addresses: {address} belongs to endpoint {owner}; choose another or remove that endpoint"
    )]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        owner: EndpointName,
    },
    /// An address of the node's own.
    #[error("endpoint: addresses: {0} is one of the node's own; choose another")]
    AddressIsHost(IpAddr),
    /// An address of a Service.
    #[error("endpoint: addresses: {0} is an address of a Service; choose another")]
    AddressIsService(IpAddr),
    /// The node's end of an endpoint's veth pair vanished while it was being made.
    #[error("endpoint: the node's end of {0}'s veth pair vanished; somebody else removed it")]
    NoDevice(EndpointName),
    /// A parent's children are all of one kind.
    #[error(
        "endpoint: attachment: {attachment} does not go with {sibling} on {parent}, which is attached by {other}; use another parent, or the same attachment",
        attachment = attachment.name(), other = other.name()
    )]
    MixedAttachments {
        /// The parent.
        parent: InterfaceName,
        /// What was wanted.
        attachment: Attachment,
        /// An endpoint that the parent has.
        sibling: EndpointName,
        /// How that one is attached.
        other: Attachment,
    },
    /// A NIC is given away whole, or not at all.
    #[error(
        "endpoint: attachment: {parent} can not be used by {attachment}: a NIC goes to one pod whole if its configuration says attachment = \"exclusive\", and only then; change that or use another parent",
        attachment = attachment.name()
    )]
    NotWhole {
        /// The parent.
        parent: InterfaceName,
        /// What was wanted.
        attachment: Attachment,
    },
    /// A NIC that another endpoint has.
    #[error(
        "endpoint: parent: {owner} has {parent} to itself; use another NIC or remove that endpoint"
    )]
    NicTaken {
        /// The NIC.
        parent: InterfaceName,
        /// Who has it.
        owner: EndpointName,
    },
    /// Every NIC that is given away whole is taken, or gone.
    #[error(
        "pod: attachment: no NIC with attachment = \"exclusive\" is free on this node; add one, or remove a pod that has one"
    )]
    NoNicLeft,
    /// A parent that is not configured.
    #[error("endpoint: parent: {name} is not a parent of this node; choose one of {known}")]
    UnknownParent {
        /// The name given.
        name: InterfaceName,
        /// The parents there are.
        known: String,
    },
    /// A parent whose device is not there.
    #[error(
        "endpoint: parent: the device of {0} is not there; try again when it is, `netpath status` says what is missing"
    )]
    ParentGone(InterfaceName),
    /// Several parents, and none named.
    #[error("pod: parent: this node has several; name one of {0}")]
    NoParentNamed(String),
    /// A pod that is wrong by itself.
    #[error("pod: {field}: {problem}")]
    Pod {
        /// The field.
        field: &'static str,
        /// What was found, what was expected.
        problem: String,
    },
    /// Somebody else on the wire has an address.
    #[error(
        "endpoint: addresses: {address} is in use on the network by {mac}; choose another or take it from there"
    )]
    Conflict {
        /// The address.
        address: IpAddr,
        /// Who answered.
        mac: Mac,
    },
    /// A gateway does not answer.
    #[error("endpoint: gateways: {0} does not answer; correct it, or see what is wrong with it")]
    SilentGateway(IpAddr),
    /// The wire can not be asked.
    #[error(transparent)]
    Announce(#[from] announce::Error),
    /// No address from the pools.
    #[error("pod: {0}")]
    Ipam(#[source] Box<ipam::Error>),
    /// A pod that is there otherwise.
    #[error("pod {0} exists with other settings; delete it first")]
    PodTaken(PodId),
    /// No such pod.
    #[error("pod {0} is not there")]
    NoPod(PodId),
    /// No endpoint of that name.
    #[error("endpoint {0} is not there; `netpath endpoint list` shows those that are")]
    NoEndpoint(EndpointName),
    /// No such route.
    #[error(
        "route: {prefix} is not in table {table}; `netpath route list` shows those that are there"
    )]
    NoRoute {
        /// The prefix.
        prefix: IpNet,
        /// The table.
        table: route::Table,
    },
    /// All slots are taken.
    #[error("endpoint: all {0} places are taken; raise capacity.endpoints")]
    NoSlot(u32),
    /// The interface can not be made.
    #[error("endpoint {name}: {source}")]
    Wire {
        /// The endpoint.
        name: EndpointName,
        /// Why.
        source: Box<endpoint::Error>,
    },
    /// A route that is wrong by itself.
    #[error("route: {field}: {0}", field = .0.field())]
    Route(#[from] route::Invalid),
    /// A route that leads elsewhere already.
    #[error("route: {prefix} in table {table} exists with other settings; remove it first")]
    RouteTaken {
        /// The prefix.
        prefix: IpNet,
        /// The table.
        table: route::Table,
    },
    /// A route that the configuration wants.
    #[error(
        "route: {prefix} in table {table} stands in the configuration file; remove it there and restart the agent"
    )]
    RouteConfigured {
        /// The prefix.
        prefix: IpNet,
        /// The table.
        table: route::Table,
    },
    /// A Service that is wrong by itself, or beside others.
    #[error("service {name}: {invalid}")]
    Service {
        /// The Service.
        name: ServiceName,
        /// What is wrong.
        invalid: Box<service::Invalid>,
    },
    /// A Service that somebody else has, who goes before.
    #[error("service {name} is said to be there by {}; change it there", .origin.place())]
    ServiceConfigured {
        /// The Service.
        name: ServiceName,
        /// Who has it.
        origin: Origin,
    },
    /// The way to the Kubernetes API server.
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    /// What the cluster says of a pod makes no sense.
    #[error("pod: {0}")]
    Asked(#[from] kube::pods::Error),
    /// A pod of which the cluster says nothing.
    #[error("pod {pod}: {}", if *.silent {
        "the API server is not heard, and what the pod asks for is not known; it is tried again"
    } else {
        "the cluster has no such pod on this node; see kubernetes.node if it has"
    })]
    PodUnknown {
        /// The pod.
        pod: PodName,
        /// Whether the API server was not heard.
        silent: bool,
    },
    /// A network of a cluster that there is not.
    #[error(
        "pod: network: a Network is the cluster's; set kubernetes.enabled, and have the runtime tell the pod's name"
    )]
    NoCluster,
    /// A network none of whose parents is here.
    #[error("pod: none of the parents of Network {network} is on this node, which has {known}")]
    NetworkElsewhere {
        /// The network.
        network: String,
        /// The parents that are here.
        known: String,
    },
    /// A pool of other pods.
    #[error("pod: IPPool {pool} is not for pod {owner}; choose another, or see its selectors")]
    PoolNotFor {
        /// The pool.
        pool: String,
        /// The pod.
        owner: Owner,
    },
    /// An IPAM plugin chooses.
    #[error(
        "pod: the annotation netpath.io/fixed is for addresses of IPPools, and an IPAM plugin chooses; remove one of them"
    )]
    FixedByPlugin,
    /// A pod does not get its fixed addresses.
    #[error("pod: {0}")]
    Fixed(#[source] Box<kube::fixed::Error>),
    /// A first start in a cluster.
    #[error(
        "what the Kubernetes cluster has is not known yet; wait, or see the warnings of `netpath status`"
    )]
    ClusterUnknown,
    /// No such Service.
    #[error("service {0} is not there; `netpath service list` shows those that are")]
    NoService(ServiceName),
    /// A table that endpoints and routes can not have.
    #[error(
        "table: {0} is a table of the kernel's, of a parent's or of netpath's own; write another number from 1 to 252, or from 256 on"
    )]
    TableTaken(route::Table),
    /// A question that can not be asked.
    #[error("explain: {field}: {problem}")]
    Question {
        /// The field.
        field: &'static str,
        /// What was found, what was expected.
        problem: String,
    },
    /// Something could not be removed; the rest was.
    #[error("{what}: not everything could be removed: {}; try again", list(.errors))]
    Remaining {
        /// What was to be removed.
        what: String,
        /// Everything that failed.
        errors: Vec<Error>,
    },
}

impl Error {
    /// A pod does not get its fixed addresses; to be used with `map_err`.
    pub(super) fn fixed(error: kube::fixed::Error) -> Self {
        Self::Fixed(Box::new(error))
    }

    /// A parent can not be used.
    pub(super) fn parent(parent: &config::Parent, problem: ParentProblem) -> Self {
        Self::Parent { name: parent.name.clone(), problem: Box::new(problem) }
    }

    /// An endpoint's interface could not be made or removed; to be used with `map_err`.
    pub(super) fn wire(name: &EndpointName) -> impl Fn(endpoint::Error) -> Self {
        |source| Self::Wire { name: name.clone(), source: Box::new(source) }
    }
}

impl From<ipam::Error> for Error {
    fn from(error: ipam::Error) -> Self {
        Self::Ipam(Box::new(error))
    }
}

fn list(errors: &[Error]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; ")
}
