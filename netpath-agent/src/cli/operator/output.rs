//! Tables for people, JSON for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::arguments::Format;
use crate::cli::print;

/// Prints a value.
pub(super) fn show<T: Serialize>(format: Format, value: &T, text: impl FnOnce(&T) -> String) {
    match format {
        Format::Table => print(&text(value)),
        Format::Json => json(value),
    }
}

/// Prints what a change did.
pub(super) fn show_change<T: Serialize>(format: Format, value: &T, text: &str) {
    show(format, value, |_| format!("{text}\n"));
}

fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => crate::cli::complain(&error.to_string()),
    }
}

/// A table without lines, which people read and `awk` splits. Numbers stand on the right.
pub(super) fn table(header: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
