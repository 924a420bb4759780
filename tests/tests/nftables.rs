//! Our table of `nf_tables`, written and read by messages of our own, with `nft` as the witness. Needs
//! root.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use netpath_agent::netfilter::nftables::{Element, Found, Kind, Nftables, Rule, Set, Table};
use netpath_tests::sandbox::{command, namespace::Namespace};

const FROM: &str = "from";
/// More than a socket sends at once by itself, and more than a message holds.
const MANY: u32 = 20_000;

/// A namespace with a socket in it.
struct Place {
    namespace: Namespace,
    nftables: Nftables,
}

impl Place {
    fn make() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("np-{}-nft{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace::create(&name)?;
        let nftables = namespace.enter(|| Ok(Nftables::open()?))?;
        Ok(Self { namespace, nftables })
    }

    fn nft(&self, words: &str) -> Result<String> {
        command::run(self.namespace.command("nft").args(words.split(' ')))
    }

    fn found(&mut self) -> Result<Found> {
        self.nftables.read()?.context("no table")
    }
}

fn addresses(numbers: std::ops::Range<u32>) -> Set {
    let mut set = Set::of(Kind::Ipv4);
    let address = |number| Element::from(IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number)));
    set.elements.extend(numbers.map(address));
    set
}

fn table(count: u32) -> Result<Table> {
    let mut parents = Set::of(Kind::Device);
    parents.elements.insert(Element::device(1));
    let mut table = Table::default();
    table.sets.insert("parents".to_owned(), parents);
    table.sets.insert(FROM.to_owned(), addresses(0..count));
    for (kind, prefixes) in
        [(Kind::Ipv4, ["0.0.0.0/1", "255.0.0.0/8"]), (Kind::Ipv6, ["fd00::/8", "fe80::/10"])]
    {
        let prefixes: Vec<_> =
            prefixes.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        table.sets.insert(format!("vpc-{kind:?}"), Set::of_prefixes(kind, &prefixes));
    }
    table.rules.push(Rule {
        kind: Kind::Ipv4,
        by: "parents".to_owned(),
        from: FROM.to_owned(),
        except: "vpc-Ipv4".to_owned(),
        comment: "table 100, ipv4".to_owned(),
    });
    Ok(table)
}

#[test]
fn a_table_is_read_as_it_was_written() -> Result<()> {
    let mut place = Place::make()?;
    ensure!(place.nftables.read()?.is_none(), "a table before there is one");
    for count in [0, 2, MANY, 1] {
        let table = table(count)?;
        place.nftables.replace(&table)?;
        ensure!(place.found()?.is(&table), "{count} addresses are not what was written");
    }
    let text = place.nft("list table inet netpath")?;
    for words in [
        "type nat hook postrouting priority srcnat; policy accept;",
        "oif @parents ip saddr @from ip daddr != @vpc-Ipv4 masquerade comment \"table 100, ipv4\"",
        "elements = { 0.0.0.0/1, 255.0.0.0/8 }",
        "elements = { \"lo\" }",
    ] {
        ensure!(text.contains(words), "{words:?} is missing: {text}");
    }
    place.nftables.remove()?;
    ensure!(place.nft("list tables")?.is_empty(), "something is left");
    Ok(())
}

#[test]
fn elements_come_and_go() -> Result<()> {
    let mut place = Place::make()?;
    place.nftables.replace(&table(2)?)?;
    let more = BTreeMap::from([(FROM.to_owned(), addresses(2..5))]);
    let before = place.nftables.generation()?;
    place.nftables.add(&more)?;
    place.nftables.add(&more).context("again")?;
    ensure!(place.found()?.is(&table(5)?), "not added");
    ensure!(place.nftables.generation()? != before, "nobody would notice");
    place.nftables.delete(&more)?;
    ensure!(place.found()?.is(&table(2)?), "not deleted");
    ensure!(place.nftables.delete(&more).is_err(), "deleted what was not there");
    Ok(())
}

#[test]
fn what_others_do_to_it_is_noticed() -> Result<()> {
    let mut place = Place::make()?;
    let table = table(2)?;
    for harm in [
        "flush chain inet netpath postrouting",
        "insert rule inet netpath postrouting accept",
        "delete element inet netpath from { 10.0.0.0 }",
        "add element inet netpath vpc-Ipv6 { 2001:db8::/32 }",
        "add set inet netpath more { type ipv4_addr; }",
        "delete table inet netpath",
    ] {
        place.nftables.replace(&table)?;
        let before = place.nftables.generation()?;
        place.nft(harm)?;
        ensure!(place.nftables.generation()? != before, "{harm}: the same generation");
        ensure!(!place.nftables.read()?.is_some_and(|found| found.is(&table)), "{harm}: not seen");
    }
    place.nft("add table inet netpath")?;
    ensure!(!place.found()?.ours, "somebody else's table without our mark");
    Ok(())
}

#[test]
fn a_change_that_is_refused_changes_nothing() -> Result<()> {
    let mut place = Place::make()?;
    let good = table(2)?;
    place.nftables.replace(&good)?;
    let mut bad = good.clone();
    bad.sets.remove(FROM);
    ensure!(place.nftables.replace(&bad).is_err(), "a rule without its set");
    ensure!(place.found()?.is(&good), "half a change");
    Ok(())
}

#[test]
fn a_table_that_changes_meanwhile_is_not_half_read() -> Result<()> {
    let Place { namespace, mut nftables } = Place::make()?;
    nftables.replace(&table(2)?)?;
    let more = BTreeMap::from([(FROM.to_owned(), addresses(2..5))]);
    let done = AtomicU32::new(0);
    let (whole, parts) = (table(5)?, table(2)?);
    thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) == 0 {
                nftables.add(&more).and_then(|()| nftables.delete(&more)).expect("a change");
            }
        });
        let look = || {
            let mut other = Nftables::open()?;
            let found = match other.read() {
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
                found => found?.context("no table")?,
            };
            ensure!(found.is(&whole) || found.is(&parts), "neither before nor after: {found:?}");
            Ok(())
        };
        let looked = namespace.enter(|| (0..500).try_for_each(|_| look()));
        done.store(1, Ordering::Relaxed);
        looked
    })
}
