//! `netpath service`: addresses that stand for backends.

use std::{
    fmt::Display,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::Value;

use super::{
    arguments::Format,
    output::{show, show_change, table},
};
use crate::{
    api::{
        Client, client,
        services::{Applied, BackendRow, Frontend, HostLocal, Service, ServiceDetail, What},
    },
    cli::{FAILED, OK, complain},
    service::{Policy, PortSpec, ServiceName, ServiceSpec, Target},
};

/// What can be asked and told about Services.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// List them.
    List,
    /// Show one: its addresses, who is chosen to answer there on this node, and why others are not.
    #[command(after_help = "\
Example:
  netpath service show default/web")]
    Show {
        /// Namespace and name.
        #[arg(value_name = "NAMESPACE/NAME")]
        name: ServiceName,
    },
    /// Create or replace Services; exit code 1 if one of them is refused. Repeating it changes nothing.
    #[command(after_help = "\
Examples:
  netpath service apply -f services.json
  netpath service apply -f - <<'END'
  {\"name\": \"default/web\", \"cluster_ips\": [\"10.96.0.10\", \"fd00:96::a\"],
   \"ports\": [{\"port\": 80, \"target\": 8080}],
   \"endpoints\": [{\"addresses\": [\"10.0.1.11\", \"fd00:1::11\"], \"node\": \"node1\"}]}
  END")]
    Apply {
        /// JSON: a Service, or a list of them; - for standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove one that was added at runtime.
    Del {
        /// Namespace and name.
        #[arg(value_name = "NAMESPACE/NAME")]
        name: ServiceName,
    },
}

/// Asks the agent, prints its answer and returns the exit code.
pub(super) async fn run(
    agent: &Client,
    output: Format,
    command: ServiceCommand,
) -> Result<u8, client::Error> {
    match command {
        ServiceCommand::List => show(output, &agent.services().await?, |list| services(list)),
        ServiceCommand::Show { name } => show(output, &agent.service(&name).await?, detail),
        ServiceCommand::Apply { file } => {
            let list = match read(&file) {
                Ok(list) => list,
                Err(error) => {
                    complain(&error);
                    return Ok(FAILED);
                }
            };
            let applied = agent.apply_services(&list).await?;
            show(output, &applied, |rows| results(rows));
            let refused = applied.iter().any(|row| row.result == What::Refused);
            return Ok(if refused { FAILED } else { OK });
        }
        ServiceCommand::Del { name } => {
            let removed = agent.remove_service(&name).await?;
            show_change(output, &removed, &format!("service {name} removed"));
        }
    }
    Ok(OK)
}

/// The list of a file; a Service that is alone is a list of one, so that it is answered like others.
fn read(file: &Path) -> Result<Value, String> {
    let stdin = file.as_os_str() == "-";
    let mut text = Vec::new();
    let read = if stdin {
        io::stdin().read_to_end(&mut text).map(drop)
    } else {
        fs::read(file).map(|read| text = read)
    };
    let name = if stdin { "standard input".to_owned() } else { file.display().to_string() };
    read.map_err(|error| format!("{name}: can not be read: {error}"))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Array(list)) => Ok(Value::Array(list)),
        Ok(alone) => Ok(Value::Array(vec![alone])),
        Err(error) => Err(format!("{name}: is no JSON: {error}")),
    }
}

fn results(rows: &[Applied]) -> String {
    let row = |row: &Applied| {
        let Applied { name, result, error, field: _, kind: _ } = row;
        let error = error.as_ref().map(|error| format!(": {error}"));
        format!("service {name} {}{}\n", result.name(), error.unwrap_or_default())
    };
    rows.iter().map(row).collect()
}

fn services(services: &[Service]) -> String {
    let row = |Service { spec, origin }: &Service| {
        let ready = spec.endpoints.iter().filter(|endpoint| spec.is_ready(endpoint)).count();
        vec![
            spec.name.to_string(),
            list(&spec.cluster_ips),
            list(&spec.external_addresses().collect::<Vec<_>>()),
            list(&spec.ports.iter().map(port).collect::<Vec<_>>()),
            format!("{ready}/{}", spec.endpoints.len()),
            origin.name().to_owned(),
        ]
    };
    table(
        &["name", "cluster ips", "external", "ports", "ready", "origin"],
        &[4],
        services.iter().map(row).collect(),
    )
}

fn detail(detail: &ServiceDetail) -> String {
    let ServiceDetail { service: Service { spec, origin }, frontends, backends, host_local } =
        detail;
    let ServiceSpec {
        name,
        source_ranges,
        ports,
        affinity_seconds,
        internal_policy,
        external_policy,
        health_check_port,
        ..
    } = spec;
    let affinity = affinity_seconds.map(|seconds| format!("{seconds} s"));
    let ports: Vec<_> = ports.iter().map(port).collect();
    let mut text = format!(
        "service       {name} ({})\n\
         ports         {}\n\
         policies      {} inside, {} outside\n\
         affinity      {}\n\
         source ranges {}\n\
         health check  {}\n\n",
        origin.name(),
        list(&ports),
        policy(*internal_policy),
        policy(*external_policy),
        affinity.unwrap_or_else(|| "none".to_owned()),
        list(source_ranges),
        health_check_port.map_or_else(|| "-".to_owned(), |port| format!("port {port}")),
    );
    let header = ["kind", "address", "port", "choice", "inside", "outside"];
    text += &table(&header, &[2], frontends.iter().map(frontend).collect());
    if !host_local.is_empty() {
        let row = |HostLocal { address, protocol, alive }: &HostLocal| {
            let alive = if *alive { "lives" } else { "gone" }.to_owned();
            vec![address.to_string(), protocol.to_string(), alive]
        };
        text.push('\n');
        text +=
            &table(&["host-local", "protocol", "state"], &[], host_local.iter().map(row).collect());
    }
    let row = |row: &BackendRow| {
        let BackendRow { address, node, zone, cluster, inside, outside } = row;
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let words = [address.to_string(), or_dash(node), or_dash(zone)];
        words.into_iter().chain([cluster.clone(), or_dash(inside), or_dash(outside)]).collect()
    };
    let header = ["backend", "node", "zone", "at cluster ips", "inside", "outside"];
    text.push('\n');
    text += &table(&header, &[], backends.iter().map(row).collect());
    text
}

fn frontend(frontend: &Frontend) -> Vec<String> {
    let Frontend { kind, address, port, protocol, id: _, choice, inside, outside } = frontend;
    let address = if address.is_unspecified() {
        if address.is_ipv6() { "(node, IPv6)" } else { "(node, IPv4)" }.to_owned()
    } else {
        address.to_string()
    };
    let outside = outside.as_ref().map_or_else(|| "(not asked)".to_owned(), |run| list(run));
    vec![kind.clone(), address, format!("{port}/{protocol}"), choice.clone(), list(inside), outside]
}

/// A port as `80/tcp->8080 (node 30080)`.
fn port(spec: &PortSpec) -> String {
    let PortSpec { name: _, protocol, port, target, node_port } = spec;
    let target = match target {
        None => String::new(),
        Some(Target::Number(number)) => format!("->{number}"),
        Some(Target::Name(name)) => format!("->{name}"),
    };
    let node = node_port.map(|port| format!(" (node {port})")).unwrap_or_default();
    format!("{port}/{protocol}{target}{node}")
}

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

const fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Cluster => "cluster",
        Policy::Local => "local",
    }
}
