//! What each answer looks like to people.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use super::output::table;
use crate::{
    api::types::{
        Connection, Counter, Endpoint, EndpointCounter, Explanation, Flow, Hook, KernelAnswer,
        Masquerade, Parent, Route, Sockets, Status, Step, Translation, Verdict,
    },
    attachment::Attachment,
    config::Vlan,
    masquerade::MasqueradeSpec,
    rule::RuleSpec,
};

/// How the node is doing.
pub(super) fn status(status: &Status) -> String {
    let Status {
        version,
        abi,
        kernel,
        pins,
        uptime_seconds,
        endpoints,
        routes,
        services,
        masquerade,
        sockets,
        loopback,
        repairs,
        entry,
        parents,
        maps,
        warnings,
    } = status;
    let repairs: Vec<_> = repairs.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let repairs = if repairs.is_empty() { "none".to_owned() } else { repairs.join(", ") };
    let mut text = format!(
        "netpath {version} (ABI {abi}) on Linux {kernel}, up {uptime_seconds} s\n\
         pins      {pins}/v{abi}\n\
         entry     {} (index {}, {})\n\
         endpoints {endpoints}\n\
         routes    {routes}\n\
         services  {services}\n\
         repairs   {repairs}\n\n",
        entry.interface, entry.ifindex, entry.mac,
    );
    for Masquerade { spec: MasqueradeSpec { table, vpc }, addresses } in masquerade {
        let vpc: Vec<_> = vpc.iter().map(ToString::to_string).collect();
        let vpc = vpc.join(", ");
        // Writing to a string can not fail.
        let _ = writeln!(text, "masquerade table {table}: {addresses} addresses, outside {vpc}\n");
    }
    if let Some(Sockets { cgroup, hooks, failure: _ }) = sockets {
        let names: Vec<_> = hooks.iter().map(|hook| hook.hook.as_str()).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
        let cgroup = cgroup.as_deref().unwrap_or("-");
        // Writing to a string can not fail.
        let _ = writeln!(text, "sockets of cgroup {cgroup}: {names}\n");
    }
    if let Some(Hook { hook: _, attached, program, link: _ }) = loopback {
        // Writing to a string can not fail.
        let _ = writeln!(text, "loopback device: program {program} by {attached}\n");
    }
    text.push_str(&table(
        &[
            "parent",
            "device",
            "kind",
            "index",
            "mac",
            "up",
            "endpoints",
            "switching",
            "hooks",
            "xdp",
        ],
        &[3, 6],
        parents.iter().map(parent).collect(),
    ));
    for Parent { name, note, xdp, .. } in parents {
        // Writing to a string can not fail.
        let _ = writeln!(text, "  {name}: xdp {}: {}", xdp.mode, xdp.reason);
        if let Some(note) = note {
            let _ = writeln!(text, "  {name}: {note}");
        }
    }
    text.push('\n');
    text.push_str(&table(
        &["map", "used", "capacity", "full"],
        &[1, 2, 3],
        maps.iter()
            .map(|map| {
                let percent = map.used * 100 / map.capacity.max(1);
                vec![
                    map.name.clone(),
                    map.used.to_string(),
                    map.capacity.to_string(),
                    format!("{percent}%"),
                ]
            })
            .collect(),
    ));
    for warning in warnings {
        let _ = write!(text, "\nwarning: {warning}");
    }
    if !warnings.is_empty() {
        text.push('\n');
    }
    text
}

fn parent(parent: &Parent) -> Vec<String> {
    let Parent {
        name,
        device,
        kind,
        vlan,
        ifindex,
        mac,
        up,
        endpoints,
        switching,
        note: _,
        hooks,
        xdp,
    } = parent;
    let vlan = vlan.as_ref().map(|Vlan { on, id }| format!(" {id} on {on}"));
    let hook = |Hook { hook, attached, program, link }: &Hook| match link {
        Some(link) => format!("{hook}={attached}(prog {program}, link {link})"),
        None => format!("{hook}={attached}(prog {program})"),
    };
    vec![
        name.clone(),
        device.clone(),
        format!("{kind}{}", vlan.unwrap_or_default()),
        ifindex.to_string(),
        mac.clone(),
        if *up { "yes" } else { "no" }.to_owned(),
        endpoints.to_string(),
        switching.clone(),
        hooks.iter().map(hook).collect::<Vec<_>>().join(" "),
        xdp.mode.clone(),
    ]
}

/// Pods' interfaces.
pub(super) fn endpoints(endpoints: &[Endpoint]) -> String {
    let rows = endpoints.iter().map(|Endpoint { spec, mac, link_local: _ }| {
        vec![
            spec.name.to_string(),
            spec.parent.to_string(),
            spec.attachment.map_or("-", Attachment::name).to_owned(),
            spec.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            mac.clone().unwrap_or_else(|| "-".to_owned()),
            spec.table.to_string(),
            spec.interface.to_string(),
            spec.netns.display().to_string(),
        ]
    });
    let header =
        ["name", "parent", "attachment", "addresses", "mac", "table", "interface", "netns"];
    table(&header, &[], rows.collect())
}

/// Routes.
pub(super) fn routes(routes: &[Route]) -> String {
    let rows = routes.iter().map(|Route { spec, origin }| {
        vec![
            spec.table.to_string(),
            spec.prefix.to_string(),
            spec.path.name().to_owned(),
            hops(&spec.via),
            origin.clone(),
        ]
    });
    table(&["table", "prefix", "path", "via", "origin"], &[], rows.collect())
}

fn hops(via: &[IpAddr]) -> String {
    if via.is_empty() {
        return "-".to_owned();
    }
    via.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Rules.
pub(super) fn rules(rules: &[RuleSpec]) -> String {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows = rules.iter().map(|RuleSpec { from, to, mark, table }| {
        vec![
            shown(from.map(|prefix| prefix.to_string())),
            shown(to.map(|prefix| prefix.to_string())),
            shown(mark.map(|mark| format!("{mark:#x}"))),
            table.to_string(),
        ]
    });
    table(&["from", "to", "mark", "table"], &[], rows.collect())
}

/// Flows.
pub(super) fn flows(flows: &[Flow]) -> String {
    let rows = flows.iter().map(|flow| {
        vec![
            flow.protocol.clone(),
            SocketAddr::new(flow.source, flow.source_port).to_string(),
            SocketAddr::new(flow.destination, flow.destination_port).to_string(),
            flow.endpoints.join(" "),
            flow.state.clone().unwrap_or_else(|| "-".to_owned()),
            flow.idle_seconds.to_string(),
            flow.expires_seconds.map_or_else(|| "-".to_owned(), |seconds| seconds.to_string()),
        ]
    });
    let header =
        ["protocol", "source", "destination", "endpoints", "state", "idle (s)", "expires (s)"];
    table(&header, &[5, 6], rows.collect())
}

/// Connections.
pub(super) fn connections(connections: &[Connection]) -> String {
    let rows = connections.iter().map(|connection| {
        let hidden = connection.source.zip(connection.source_port);
        vec![
            connection.protocol.clone(),
            SocketAddr::new(connection.client, connection.client_port).to_string(),
            SocketAddr::new(connection.service, connection.service_port).to_string(),
            SocketAddr::new(connection.backend, connection.backend_port).to_string(),
            hidden.map_or_else(|| "-".to_owned(), |source| SocketAddr::from(source).to_string()),
            connection.state.clone(),
            connection.idle_seconds.to_string(),
            connection.expires_seconds.to_string(),
        ]
    });
    let header =
        ["protocol", "client", "service", "backend", "source", "state", "idle (s)", "expires (s)"];
    table(&header, &[6, 7], rows.collect())
}

/// Counters by parent, hook, path and reason.
pub(super) fn counters(counters: &[Counter]) -> String {
    let rows = counters.iter().map(|counter| {
        let Counter { parent, hook, path, reason, packets, bytes } = counter;
        vec![
            parent.clone(),
            hook.clone(),
            path.clone(),
            reason.clone(),
            packets.to_string(),
            bytes.to_string(),
        ]
    });
    table(&["parent", "hook", "path", "reason", "packets", "bytes"], &[4, 5], rows.collect())
}

/// Counters by endpoint.
pub(super) fn endpoint_counters(counters: &[EndpointCounter]) -> String {
    let rows = counters.iter().map(|counter| {
        let EndpointCounter { name, rx_packets, rx_bytes, tx_packets, tx_bytes } = counter;
        vec![
            name.clone(),
            rx_packets.to_string(),
            rx_bytes.to_string(),
            tx_packets.to_string(),
            tx_bytes.to_string(),
        ]
    });
    let header = ["endpoint", "rx-packets", "rx-bytes", "tx-packets", "tx-bytes"];
    table(&header, &[1, 2, 3, 4], rows.collect())
}

/// What the decision asked and answered, and what the host stack says.
pub(super) fn explanation(explanation: &Explanation) -> String {
    let Explanation { hook, steps, translation, verdict, kernel, drift } = explanation;
    let rows = steps
        .iter()
        .enumerate()
        .map(|(index, Step { question, answer })| {
            vec![(index + 1).to_string(), question.clone(), answer.clone()]
        })
        .collect();
    let mut text = table(&["step", "question", "answer"], &[0], rows);
    if let Some(Translation { source, destination, known }) = translation {
        let how = if *known { "as its connection says" } else { "as it would now" };
        let _ = writeln!(text, "\nbecomes {source} to {destination}, {how}");
    }
    let Verdict { path, reason, action, next_hop } = verdict;
    let hop = next_hop.map(|hop| format!(", {hop},")).unwrap_or_default();
    let _ = writeln!(text, "\n{path} ({reason}): {action}{hop} at {hook}");
    let Some(kernel) = kernel else { return text };
    let answer = match kernel {
        KernelAnswer::Sent { interface, gateway, table, masqueraded } => {
            let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let masqueraded = if *masqueraded { ", masqueraded" } else { "" };
            format!("by {interface}{via}, table {table}{masqueraded}")
        }
        KernelAnswer::Received => "received by the node".to_owned(),
        KernelAnswer::Refused { reason } => format!("refused: {reason}"),
    };
    let _ = writeln!(text, "the host stack: {answer}");
    if *drift {
        text.push_str("drift: the host stack leads it elsewhere\n");
    }
    text
}
