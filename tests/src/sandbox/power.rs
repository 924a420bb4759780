//! Writes to a disk whose machine loses its power: what was flushed must be there afterwards,
//! and what was not must be able to be gone. Otherwise a test with power cuts proves nothing.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::wait;

/// Prints what an earlier run left in `folder`, as `found FLUSHED UNFLUSHED`, and writes on until
/// the power fails: `flushed N` once the disk has line `N`.
pub fn write(folder: &Path) -> Result<()> {
    let [flushed, unflushed] = ["flushed", "unflushed"].map(|name| folder.join(name));
    let mut number = last(&flushed)?;
    println!("found {number} {}", last(&unflushed)?);
    let (mut flushed, mut unflushed) = (open(&flushed)?, open(&unflushed)?);
    // The names are on the disk before what they hold.
    File::open(folder).and_then(|folder| folder.sync_all()).context("flush the folder")?;
    loop {
        wait::check_interrupt()?;
        number += 1;
        let line = format!("{number}\n");
        unflushed.write_all(line.as_bytes()).context("write")?;
        flushed.write_all(line.as_bytes()).context("write")?;
        flushed.sync_all().context("flush")?;
        println!("flushed {number}");
        io::stdout().flush().context("tell")?;
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("open {}", path.display()))
}

/// The number in the last line that is whole; a line may have been cut, a wrong one is an error.
fn last(path: &Path) -> Result<u64> {
    if !path.exists() {
        return Ok(0);
    }
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let mut last = 0;
    for line in lines {
        match line.parse::<u64>() {
            Ok(number) if number > last => last = number,
            _ => bail!("{}: {line:?} after {last}", path.display()),
        }
    }
    Ok(last)
}
