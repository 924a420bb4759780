//! What `netpath` understands.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnet::IpNet;
use netpath_common::Path;

use super::{ipam::Ipam, service::ServiceCommand};
use crate::{
    api::types::{Protocol, Question},
    attachment::Attachment,
    cli::EXIT_CODES,
    endpoint::EndpointSpec,
    name::{EndpointName, InterfaceName},
    route::{Table, parse_path},
};

/// See and change what netpath does on this node.
#[derive(Debug, Parser)]
#[command(name = "netpath", version, after_help = EXIT_CODES)]
pub(super) struct Cli {
    /// The agent's socket.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "NETPATH_SOCKET",
        default_value = "/run/netpath/agent.sock"
    )]
    pub(super) socket: PathBuf,
    /// Tables for people, JSON for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Parents, hooks and how they are attached, map fill levels, warnings.
    Status,
    /// Whether pods can be attached, and if not, why. Ends with 0 or 1, for probes.
    Ready,
    /// Pods' interfaces.
    #[command(subcommand)]
    Endpoint(Endpoint),
    /// Destination prefixes and the paths they lead to.
    #[command(subcommand)]
    Route(Route),
    /// Which route table is asked for whom.
    #[command(subcommand)]
    Rule(Rule),
    /// Flows that come back through the host stack, for it forwarded them there.
    #[command(subcommand)]
    Flow(Flow),
    /// Addresses that stand for backends, and where they lead on this node.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Connections to Services whose packets are translated.
    #[command(subcommand)]
    Conn(Conn),
    /// Pods' addresses and the pools that they are of.
    #[command(subcommand)]
    Ipam(Ipam),
    /// What happened to packets, by parent, hook, path and reason.
    Counters {
        /// By endpoint instead, both directions.
        #[arg(long)]
        endpoints: bool,
    },
    /// Ask the decision what it would do with a packet, over the live maps, and the host stack for its way.
    #[command(after_help = "\
Examples:
  netpath explain web-0 10.0.2.7 --proto tcp --dport 80
  netpath explain web-0 default/dns:53 --proto udp
  netpath explain fd00:1::5 fd00:96::a --proto udp --dport 53 -o json")]
    Explain(Explain),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Endpoint {
    /// Make an interface in a network namespace. Repeating it changes nothing.
    #[command(after_help = "\
Example:
  netpath endpoint add web-0 --netns /run/netns/web-0 --parent eth0 \\
      --address 10.0.1.5/24 --address fd00:1::5/64 --gateway 10.0.1.1 --gateway fd00:1::1")]
    Add(Add),
    /// Remove an interface and all that is known of it.
    Del {
        /// The endpoint's name.
        name: EndpointName,
    },
    /// List them.
    List,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// A name, unique on the node.
    name: EndpointName,
    /// The network namespace's file, such as /run/netns/NAME or /proc/PID/ns/net.
    #[arg(long, value_name = "FILE")]
    netns: PathBuf,
    /// The interface's name inside the namespace.
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    interface: InterfaceName,
    /// The parent to sit on.
    #[arg(long, value_name = "NAME")]
    parent: InterfaceName,
    /// How it is wired; as the parent's endpoints are if not given.
    #[arg(long, value_name = "KIND")]
    attachment: Option<Attachment>,
    /// An address with the length of its subnet; can be repeated, the first one is the primary.
    #[arg(long = "address", value_name = "ADDRESS/LENGTH", required = true)]
    addresses: Vec<IpNet>,
    /// The default gateway; one a family.
    #[arg(long = "gateway", value_name = "ADDRESS")]
    gateways: Vec<IpAddr>,
    /// The route table that is asked before the main one.
    #[arg(long, value_name = "main|NUMBER", default_value_t = Table::MAIN)]
    table: Table,
    /// Bytes of the largest packet; the parent's if not given.
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
}

impl From<Add> for EndpointSpec {
    fn from(add: Add) -> Self {
        let Add { name, netns, interface, parent, attachment, addresses, gateways, table, mtu } =
            add;
        Self { name, netns, interface, parent, attachment, addresses, gateways, table, mtu }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Route {
    /// Lead a destination prefix to a path. Repeating it changes nothing.
    #[command(after_help = "\
Examples:
  netpath route add 10.96.0.0/12 kernel
  netpath route add 0.0.0.0/0 router --via 10.0.1.254 --table 100
  netpath route add ::/0 router --via fd00:1::fd --via fd00:1::fe --table 100
  netpath route add fd00:bad::/32 drop")]
    Add {
        /// The destination.
        prefix: IpNet,
        /// local, host, router, kernel or drop.
        #[arg(value_parser = parse_path)]
        path: Path,
        /// With router: the next hop; can be repeated, for flows to be shared out among up to 8.
        #[arg(long, value_name = "ADDRESS")]
        via: Vec<IpAddr>,
        /// The route table.
        #[arg(long, value_name = "main|NUMBER", default_value_t = Table::MAIN)]
        table: Table,
    },
    /// Remove a route that was added at runtime.
    Del {
        /// The destination.
        prefix: IpNet,
        /// The route table.
        #[arg(long, value_name = "main|NUMBER", default_value_t = Table::MAIN)]
        table: Table,
    },
    /// List them.
    List {
        /// Only this table.
        #[arg(long, value_name = "main|NUMBER")]
        table: Option<Table>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Rule {
    /// List those of the agent's file, in its order.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Flow {
    /// List them, as the packets carry them that take the kernel path.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Conn {
    /// List them, with who answers. Those that sockets were translated for are not among them: they
    /// need no translation any more.
    List {
        /// Only those of a protocol: tcp, udp or a number.
        #[arg(long, value_name = "PROTO")]
        protocol: Option<Protocol>,
        /// Only those that an address has a part in: as client, Service or backend.
        #[arg(long, value_name = "ADDRESS")]
        endpoint: Option<IpAddr>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Who sends: an address or an endpoint's name.
    #[arg(value_name = "SRC")]
    source: String,
    /// To whom: an address, an endpoint's name, or a Service as NAMESPACE/NAME:PORT.
    #[arg(value_name = "DST")]
    destination: String,
    /// icmp, tcp, udp or a number.
    #[arg(long = "proto", value_name = "PROTO", default_value = "icmp")]
    protocol: Protocol,
    /// The sender's port.
    #[arg(long = "sport", value_name = "PORT")]
    source_port: Option<u16>,
    /// The receiver's port.
    #[arg(long = "dport", value_name = "PORT")]
    destination_port: Option<u16>,
    /// The parent that the packet crosses; found by itself where the addresses tell.
    #[arg(long, value_name = "NAME")]
    parent: Option<InterfaceName>,
    /// The mark that the host stack is asked with, as netfilter may have set it; 0x and hexadecimal
    /// digits, or decimal.
    #[arg(long, value_name = "MARK", value_parser = parse_mark)]
    mark: Option<u32>,
}

impl From<Explain> for Question {
    fn from(explain: Explain) -> Self {
        let Explain { source, destination, protocol, source_port, destination_port, parent, mark } =
            explain;
        Self { source, destination, protocol, source_port, destination_port, parent, mark }
    }
}

fn parse_mark(text: &str) -> Result<u32, String> {
    let number = text
        .strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| format!("{text:?} is no mark; write a number such as 0x10 or 16"))
}
