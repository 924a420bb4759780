//! An agent whose machine loses its power while pods come and go, and what its successor finds.
//!
//! Network namespaces end with the machine, and the pods in them. What must be there again is what
//! was promised for longer: the addresses of owners. What a runtime was told is noted on the same
//! disk, flushed before the next request.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    net::IpAddr,
    path::Path,
    sync::{Mutex, PoisonError, atomic::AtomicBool},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Caller, Ledger, audit, pools};
use crate::sandbox::{
    agent::{Agent, Files, Programs, Settings},
    lab::Lab,
    probe::{Patience, Proto, probe},
    together::together,
    wait,
};

/// Workers that every machine adds to those of the machines before it.
const WORKERS: usize = 4;
/// Pods that are made again, of those that were there before.
const AGAIN: usize = 6;

/// An owner's addresses, as a runtime was told.
#[derive(Debug, Serialize, Deserialize)]
struct Promise {
    worker: String,
    addresses: Vec<IpAddr>,
}

/// Checks what an earlier machine left in `folder`, prints `found OWNERS 0`, makes their pods again,
/// and goes on until the power fails: `flushed N` for every owner that was promised its addresses.
pub fn run(programs: &Programs, folder: &Path, seed: u64) -> Result<()> {
    let journal = folder.join("promises");
    let promises = read(&journal)?;
    let settings = Settings { more: pools(5), ..Settings::default() };
    let mut lab = Lab::build(programs, &settings, 1500)?;
    let unique = format!("{}outage", lab.topology.prefix);
    lab.files[0] = Files::write(&folder.join("agent"), &unique, &settings)?;
    let agent = Agent::start(programs, &lab.topology.nodes[0], &lab.files[0])?;
    audit::recovered(&agent, &promises)?;
    println!("found {} 0", promises.len());

    let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
    let known: Vec<_> = promises.iter().take(AGAIN).collect();
    let names = known.iter().map(|(name, _)| (*name).clone());
    let fresh = (0..WORKERS).map(|number| format!("outage{seed:x}-{number}"));
    let mut callers: Vec<_> = names
        .chain(fresh)
        .zip(seed..)
        .map(|(name, seed)| Caller::new(name, (programs, &lab.files[0]), &ledger, &stop, seed))
        .collect();
    let node = &lab.topology.nodes[0].namespace;
    for (caller, (_, addresses)) in callers.iter_mut().zip(&known) {
        caller.expect((*addresses).clone());
        caller.attach(0)?;
        for address in *addresses {
            let answers = probe(node, *address, Proto::Icmp, Patience::EXPECTED)?;
            ensure!(answers, "{address} does not answer, after a power cut");
        }
    }
    let file = File::options().create(true).append(true).open(&journal);
    let file = Mutex::new((file.context("open the journal")?, promises.len()));
    // The name is on the disk before what it holds.
    File::open(folder).and_then(|folder| folder.sync_all()).context("flush the folder")?;
    let workers = callers[known.len()..].iter_mut().map(|caller| || churn(caller, &file));
    together(workers)?.into_iter().collect()
}

/// Makes pods until the power fails.
fn churn(caller: &mut Caller<'_>, journal: &Mutex<(File, usize)>) -> Result<()> {
    caller.attach(0)?;
    let (owner, addresses) = caller.owner().context("no owner")?;
    let worker = owner.rsplit('/').next().unwrap_or_default().to_owned();
    let promise = Promise { worker, addresses: addresses.to_vec() };
    {
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(journal.0, "{}", serde_json::to_string(&promise)?).context("write")?;
        journal.0.sync_all().context("flush")?;
        journal.1 += 1;
        println!("flushed {}", journal.1);
        io::stdout().flush().context("tell")?;
    }
    loop {
        wait::check_interrupt()?;
        caller.round()?;
    }
}

/// Addresses by worker. The last line may have been cut.
fn read(journal: &Path) -> Result<BTreeMap<String, Vec<IpAddr>>> {
    if !journal.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(journal).context("read the journal")?;
    let mut promises = BTreeMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let Promise { worker, addresses } =
            serde_json::from_str(line).with_context(|| format!("journal: {line:?}"))?;
        if let Some(before) = promises.insert(worker, addresses) {
            bail!("a second promise after {before:?}: {line}");
        }
    }
    Ok(promises)
}
