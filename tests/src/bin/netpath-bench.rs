//! What netpath costs: nanoseconds per packet through `BPF_PROG_TEST_RUN`, instructions per round trip
//! between real interfaces, and what Services cost who asks.

use std::{env, io::IsTerminal as _, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use netpath_tests::{
    program::bench,
    sandbox::{
        address::Family,
        agent::Programs,
        cost::{self, Exchange, PROTOS, WIRINGS},
        service_cost, wait,
    },
};

/// Measures netpath.
#[derive(Debug, Parser)]
#[command(name = "netpath-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Nanoseconds per packet for each path, less those of an empty program in the same run.
    ///
    /// Needs root; makes a network namespace and a bpf file system of its own.
    #[command(
        after_help = "Examples:\n  netpath-bench decide\n  netpath-bench decide -o json --endpoints 10 --endpoints 100000"
    )]
    Decide {
        /// Endpoints in the map; may be given several times.
        #[arg(long, default_values_t = [10, 1_000, 100_000])]
        endpoints: Vec<u32>,
        /// Prefixes in the trie.
        #[arg(long, default_value_t = 10_000)]
        prefixes: u32,
        /// How to print the rows: a table or an array of `{path, endpoints, prefixes,
        /// services, ns, net_ns}`.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Nanoseconds of a round trip, by who asks whom and how the pods are wired.
    ///
    /// They are instructions where the clock counts those: `cargo xtask bench cost`. Needs root and
    /// ipvlan; makes network namespaces of its own.
    #[command(after_help = "Examples:\n  netpath-bench cost\n  netpath-bench cost -o json")]
    Cost {
        /// Folder of netpath-agent and netpath; by default that of this program.
        #[arg(long)]
        programs: Option<PathBuf>,
        /// How to print the rows: a table or an array of `{wiring, exchange, proto, family,
        /// instructions, reference, ratio, limit}`.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Nanoseconds of a connection to a Service and of a datagram, by how many Services there are and who
    /// translates: netpath at sockets or packets, nftables, iptables.
    ///
    /// Needs root; makes network namespaces and cgroups of its own.
    #[command(after_help = "Examples:\n  netpath-bench services\n  netpath-bench services -o json")]
    Services {
        /// Folder of netpath-agent and netpath; by default that of this program.
        #[arg(long)]
        programs: Option<PathBuf>,
        /// How to print the rows: a table or an array of `{by, services, connect_ns, datagram_ns}`.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

fn main() -> Result<()> {
    let Arguments { command } = Arguments::parse();
    let progress = |step: &str| {
        if std::io::stderr().is_terminal() {
            eprintln!("==> {step}");
        }
    };
    match command {
        Command::Decide { endpoints, prefixes, output } => {
            let rows = bench::decide(&endpoints, prefixes, progress)?;
            print(output, &rows, decide_table)
        }
        Command::Cost { programs, output } => {
            wait::handle_interrupts()?;
            let programs = Programs::find(programs.map_or_else(own_folder, Ok)?)?;
            let rows = cost::measure(&programs, &WIRINGS, progress)?;
            print(output, &rows, cost_table)
        }
        Command::Services { programs, output } => {
            wait::handle_interrupts()?;
            let programs = Programs::find(programs.map_or_else(own_folder, Ok)?)?;
            let rows = service_cost::measure(&programs, progress)?;
            print(output, &rows, services_table)
        }
    }
}

fn own_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("find the folder of this program")?;
    Ok(own.parent().map(PathBuf::from).unwrap_or_default())
}

fn print<R: serde::Serialize>(output: Output, rows: &[R], table: fn(&[R]) -> Table) -> Result<()> {
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(rows)?),
        Output::Table => println!("{}", table(rows)),
    }
    Ok(())
}

fn decide_table(rows: &[bench::Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PATH", "ENDPOINTS", "PREFIXES", "SERVICES", "NS", "NET NS"]);
    for bench::Row { path, endpoints, prefixes, services, ns, net_ns } in rows {
        table.add_row([
            path.clone(),
            endpoints.to_string(),
            prefixes.to_string(),
            if *services { "yes" } else { "no" }.to_owned(),
            ns.to_string(),
            net_ns.to_string(),
        ]);
    }
    table
}

/// Many Services beside few, and how many times as much they cost.
fn services_table(rows: &[service_cost::Row]) -> Table {
    let ratios = service_cost::ratios(rows);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["BY", "SERVICES", "CONNECT NS", "DATAGRAM NS", "CONNECT", "DATAGRAM"]);
    for service_cost::Row { by, services, connect_ns, datagram_ns } in rows {
        let many = ratios.get(by).filter(|_| *services == service_cost::MANY);
        let ratio = |at: usize| many.map_or_else(String::new, |many| format!("{:.2}", many[at]));
        table.add_row([
            (*by).to_owned(),
            services.to_string(),
            connect_ns.to_string(),
            datagram_ns.to_string(),
            ratio(0),
            ratio(1),
        ]);
    }
    table
}

/// A row a wiring, a column an exchange: the cost, and its part of the reference's.
fn cost_table(rows: &[cost::Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "wiring"].into_iter().chain(Exchange::ALL.map(Exchange::name)));
    for proto in PROTOS {
        for (family, name) in Family::BOTH.into_iter().zip(["IPv4", "IPv6"]) {
            let same = |row: &&cost::Row| (row.proto, row.family) == (proto, family);
            let rows: Vec<_> = rows.iter().filter(same).collect();
            for wiring in rows.chunk_by(|a, b| a.wiring == b.wiring) {
                let names = [format!("{} {name}", proto.name()), wiring[0].wiring.to_owned()];
                table.add_row(names.into_iter().chain(wiring.iter().map(|row| cost_cell(row))));
            }
        }
    }
    table.column_iter_mut().skip(2).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

fn cost_cell(row: &cost::Row) -> String {
    let cost::Row { wiring, reference, instructions, ratio, .. } = row;
    if wiring == reference {
        return instructions.to_string();
    }
    format!("{instructions} {ratio:.3}")
}
