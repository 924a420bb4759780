//! What `netpath-sandbox run` prints: one JSON document, or tables for people.

use std::io::Write;

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

use super::{
    address::Family,
    lab::NodeCounters,
    probe::Proto,
    table::{self, Row},
};

/// The whole result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The running kernel's release.
    pub kernel: String,
    /// The table with plain ipvlan.
    pub before: Vec<Row>,
    /// The table with netpath.
    pub after: Vec<Row>,
    /// The counters of each node after the second table.
    pub counters: Vec<NodeCounters>,
}

impl Report {
    /// Whether both tables are as expected.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        table::as_expected(&self.before) && table::as_expected(&self.after)
    }

    /// One JSON document.
    pub fn write_json(&self, out: &mut impl Write) -> Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)?;
        Ok(())
    }

    /// Tables, in colour on a terminal.
    pub fn write_text(&self, out: &mut impl Write) -> Result<()> {
        let Self { kernel, before, after, counters } = self;
        writeln!(out, "\nkernel {kernel}\n\nbefore: plain ipvlan L2")?;
        writeln!(out, "{}", render(before))?;
        writeln!(out, "\nafter: netpath")?;
        writeln!(out, "{}", render(after))?;
        writeln!(out, "\n✓ answered  ✗ no answer  ! not as expected")?;
        for NodeCounters { node, counters } in counters {
            writeln!(out, "\ncounters of {node}\n{}", render_counters(counters))?;
        }
        for surprise in table::surprises(before).iter().chain(&table::surprises(after)) {
            writeln!(out, "not as expected: {surprise}")?;
        }
        Ok(())
    }
}

/// One line per pair, one column per family and protocol.
#[must_use]
pub fn render(rows: &[Row]) -> String {
    let mut table = plain_table();
    table.set_header([
        "from", "to", "", "IPv4", "icmp", "tcp", "udp", "IPv6", "icmp", "tcp", "udp", "path",
    ]);
    // `measure` keeps the rows of a pair together.
    for pair in rows.chunk_by(|a, b| (a.from, a.to) == (b.from, b.to)) {
        let mut cells =
            vec![Cell::new(pair[0].from), Cell::new(pair[0].to), Cell::new(pair[0].about)];
        for family in Family::BOTH {
            cells.push(Cell::new(""));
            for proto in Proto::ALL {
                let row = pair.iter().find(|row| row.family == family && row.proto == proto);
                cells.push(row.map_or_else(|| Cell::new("-"), tick));
            }
        }
        cells.push(Cell::new(paths(pair)));
        table.add_row(cells);
    }
    table.to_string()
}

fn tick(row: &Row) -> Cell {
    let (mark, color) = match (row.ok, row.is_as_expected()) {
        (true, true) => ("✓", Color::Green),
        (false, true) => ("✗", Color::DarkGrey),
        (true, false) => ("✓!", Color::Red),
        (false, false) => ("✗!", Color::Red),
    };
    Cell::new(mark).fg(color).set_alignment(CellAlignment::Center)
}

/// The paths of a pair's rows: normally one.
fn paths(pair: &[Row]) -> String {
    let mut paths: Vec<_> = pair.iter().filter_map(|row| row.path.as_deref()).collect();
    paths.dedup();
    paths.join(" ")
}

fn render_counters(counters: &serde_json::Value) -> String {
    let mut table = plain_table();
    let columns = ["hook", "path", "reason", "packets", "bytes"];
    table.set_header(columns);
    for row in counters.as_array().map(Vec::as_slice).unwrap_or_default() {
        table.add_row(columns.map(|column| {
            let value = &row[column];
            value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
        }));
    }
    table.to_string()
}

/// Styled only where standard output is a terminal, which the table finds out by itself.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(family: Family, proto: Proto, expected: bool, ok: bool) -> Row {
        let path = Some("local".to_owned());
        Row {
            from: "a1",
            to: "a2",
            family,
            proto,
            expected,
            ok,
            path,
            about: "pod to pod",
            expected_path: "local",
        }
    }

    #[test]
    fn a_pair_is_one_line() {
        let mut rows = Vec::new();
        for family in Family::BOTH {
            for proto in Proto::ALL {
                rows.push(row(family, proto, true, true));
            }
        }
        rows[4].ok = false;
        let text = render(&rows);
        let line = text.lines().nth(1).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["a1", "a2", "pod", "to", "pod", "✓", "✓", "✓", "✓", "✗!", "✓", "local"]);
    }
}
