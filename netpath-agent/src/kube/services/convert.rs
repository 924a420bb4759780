//! Objects of the cluster in netpath's words, as kube-proxy understands them.

use std::{collections::BTreeMap, net::IpAddr};

use kube::ResourceExt as _;

use crate::{
    kube::objects::{
        Endpoint, EndpointPort, EndpointSlice, Service, ServicePort, ServiceSpec as Asked,
    },
    service::{
        Item, Policy, PortSpec, Protocol, ServiceEndpoint, ServiceName, ServiceSpec, Unreadable,
    },
};

/// The label that says which Service a slice is of.
const SERVICE: &str = "kubernetes.io/service-name";

/// What Kubernetes takes where a Service says nothing, in seconds.
const AFFINITY: i32 = 10_800;

/// Endpoints of a Service, of one family and with the same ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// The Service.
    pub(super) service: ServiceName,
    /// The family.
    pub(super) ipv6: bool,
    /// The endpoints, without ports.
    pub(super) endpoints: Vec<ServiceEndpoint>,
    /// The ports of all of them, by the Service's names for them.
    ports: Vec<(String, u16)>,
}

impl Slice {
    /// The number of a port; nothing: nobody here answers at it.
    pub(super) fn port(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(own, _)| own == name).map(|(_, number)| *number)
    }
}

/// A Service, without its endpoints; nothing if there is nothing to translate.
pub(super) fn service(service: Service) -> (String, Option<Item>) {
    let name = format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any());
    let Service { metadata: _, spec, status } = service;
    let Some(asked) = spec else { return (name, None) };
    let addresses = asked.cluster_ips.as_deref().unwrap_or_default();
    if addresses.iter().all(|address| address.is_empty() || address == "None") {
        return (name, None);
    }
    // What is the load balancer's own, and changes the destination, never comes here.
    let balanced = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
    let balanced = balanced.into_iter().filter(|it| it.ip_mode.as_deref() != Some("Proxy"));
    let balanced: Vec<String> = balanced.filter_map(|it| it.ip).collect();
    let item = translate(&name, &asked, &balanced).map_err(|(field, problem)| Unreadable {
        name: name.clone(),
        field,
        problem,
    });
    (name, Some(item))
}

type Wrong = (String, String);

fn translate(name: &str, asked: &Asked, balanced: &[String]) -> Result<ServiceSpec, Wrong> {
    let own = name.parse::<ServiceName>();
    let external = asked.external_ips.as_deref().unwrap_or_default();
    let ranges = asked.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let range = |(at, range): (usize, &String)| {
        let net = range.trim().parse::<ipnet::IpNet>();
        net.map(|net| net.trunc()).map_err(|_| {
            let field = format!("spec.loadBalancerSourceRanges[{at}]");
            (field, format!("{range:?} is no prefix; expected one such as 10.0.0.0/8"))
        })
    };
    let affinity = (asked.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let given = asked.session_affinity_config.as_ref().and_then(|it| it.client_ip.as_ref());
        let seconds = given.and_then(|it| it.timeout_seconds).unwrap_or(AFFINITY);
        u32::try_from(seconds).unwrap_or(0)
    });
    let ports = asked.ports.as_deref().unwrap_or_default();
    let health = asked.health_check_node_port.filter(|port| *port != 0);
    Ok(ServiceSpec {
        name: own.map_err(|bad| ("metadata.name".to_owned(), bad.to_string()))?,
        cluster_ips: parse("spec.clusterIPs", asked.cluster_ips.as_deref().unwrap_or_default())?,
        external_ips: parse("spec.externalIPs", external)?,
        load_balancer_ips: parse("status.loadBalancer.ingress", balanced)?,
        source_ranges: ranges.iter().enumerate().map(range).collect::<Result<_, _>>()?,
        ports: ports.iter().enumerate().map(port).collect::<Result<_, _>>()?,
        affinity_seconds: affinity,
        internal_policy: policy(asked.internal_traffic_policy.as_deref()),
        external_policy: policy(asked.external_traffic_policy.as_deref()),
        health_check_port: health
            .map(|port| number("spec.healthCheckNodePort", port))
            .transpose()?,
        publish_not_ready: asked.publish_not_ready_addresses.unwrap_or(false),
        endpoints: Vec::new(),
    })
}

fn port((at, port): (usize, &ServicePort)) -> Result<PortSpec, Wrong> {
    let field = |name: &str| format!("spec.ports[{at}].{name}");
    let protocol = match port.protocol.as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(other) => {
            return Err((field("protocol"), format!("{other:?}; expected TCP, UDP or SCTP")));
        }
    };
    let node_port = port.node_port.filter(|port| *port != 0);
    Ok(PortSpec {
        name: port.name.clone().filter(|name| !name.is_empty()),
        protocol,
        port: number(&field("port"), port.port)?,
        target: None,
        node_port: node_port.map(|port| number(&field("nodePort"), port)).transpose()?,
    })
}

fn policy(text: Option<&str>) -> Policy {
    if text == Some("Local") { Policy::Local } else { Policy::Cluster }
}

fn number(field: &str, port: i32) -> Result<u16, Wrong> {
    let wrong = |_| (field.to_owned(), format!("{port} is no port; expected 1 to 65535"));
    u16::try_from(port).map_err(wrong)
}

fn parse(field: &str, texts: &[String]) -> Result<Vec<IpAddr>, Wrong> {
    let one = |(at, text): (usize, &String)| {
        text.parse().map_err(|_| (format!("{field}[{at}]"), format!("{text:?} is no address")))
    };
    texts.iter().enumerate().map(one).collect()
}

/// A slice of a Service's endpoints; nothing if it is nobody's, or of names.
pub(super) fn slice(slice: EndpointSlice) -> (String, Option<Slice>) {
    let namespace = slice.namespace().unwrap_or_default();
    let name = format!("{namespace}/{}", slice.name_any());
    let EndpointSlice { address_type, endpoints, metadata, ports } = slice;
    let ipv6 = match address_type.as_str() {
        "IPv4" => false,
        "IPv6" => true,
        _ => return (name, None),
    };
    let of = metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE));
    let Some(service) = of.and_then(|of| format!("{namespace}/{of}").parse().ok()) else {
        return (name, None);
    };
    let number = |port: EndpointPort| {
        let number = u16::try_from(port.port?).ok().filter(|number| *number != 0)?;
        Some((port.name.unwrap_or_default(), number))
    };
    let ports = ports.unwrap_or_default().into_iter().filter_map(number).collect();
    let endpoints = endpoints.unwrap_or_default();
    let endpoints = endpoints.into_iter().filter_map(|it| endpoint(it, ipv6)).collect();
    (name, Some(Slice { service, ipv6, endpoints, ports }))
}

/// An endpoint: all its addresses mean the same one, and the first counts.
fn endpoint(endpoint: Endpoint, ipv6: bool) -> Option<ServiceEndpoint> {
    let Endpoint { addresses, conditions, hints, node_name, zone } = endpoint;
    let address: IpAddr = addresses.first()?.parse().ok()?;
    let conditions = conditions.unwrap_or_default();
    let hints = hints.and_then(|hints| hints.for_zones).unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    (address.is_ipv6() == ipv6).then(|| ServiceEndpoint {
        addresses: vec![address],
        node: node_name,
        zone,
        hints: hints.into_iter().map(|zone| zone.name).collect(),
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        ports: BTreeMap::new(),
    })
}
