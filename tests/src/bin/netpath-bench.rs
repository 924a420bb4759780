//! What a decision costs: nanoseconds per packet through `BPF_PROG_TEST_RUN`.

use std::io::IsTerminal as _;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use netpath_tests::program::bench::{self, Row};

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
        /// How to print the rows.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs: an array of `{path, endpoints, prefixes, ns, net_ns}`.
    Json,
}

fn main() -> Result<()> {
    let Arguments { command: Command::Decide { endpoints, prefixes, output } } = Arguments::parse();
    let progress = std::io::stderr().is_terminal();
    let rows = bench::decide(&endpoints, prefixes, |step| {
        if progress {
            eprintln!("==> {step}");
        }
    })?;
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Table => print(&rows),
    }
    Ok(())
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PATH", "ENDPOINTS", "PREFIXES", "NS", "NET NS"]);
    for Row { path, endpoints, prefixes, ns, net_ns } in rows {
        table.add_row([
            path.clone(),
            endpoints.to_string(),
            prefixes.to_string(),
            ns.to_string(),
            net_ns.to_string(),
        ]);
    }
    println!("{table}");
}
