//! What a node looks like, so that two looks can be compared.

use std::{collections::BTreeMap, fs, mem, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{
    command,
    topology::{INTERFACE, Place},
};

/// Facts about a node, by where they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

/// Programs whose output describes a namespace. Neighbours only as far as somebody set them:
/// the kernel learns and forgets the others by itself.
const LOOKS: [&[&str]; 11] = [
    &["ip", "-details", "link", "show"],
    &["ip", "address", "show"],
    &["ip", "rule", "show"],
    &["ip", "-6", "rule", "show"],
    &["ip", "route", "show", "table", "all"],
    &["ip", "-6", "route", "show", "table", "all"],
    &["ip", "neighbour", "show", "nud", "permanent"],
    &["ip", "neighbour", "show", "proxy"],
    &["tc", "qdisc", "show"],
    &["tc", "filter", "show", "dev", INTERFACE, "ingress"],
    &["tc", "filter", "show", "dev", INTERFACE, "egress"],
];

/// Settings that are measurements.
const COUNTS: [&str; 2] = ["netfilter/nf_conntrack_count", "core/netdev_rss_key"];

impl Snapshot {
    /// Looks at a node and at the pins below `pins`.
    pub fn take(node: &Place, pins: &Path) -> Result<Self> {
        let mut facts = BTreeMap::new();
        for look in LOOKS {
            let [program, arguments @ ..] = look else {
                continue;
            };
            // In the namespace by `ip -n` and `tc -n`: a second process would cost a guest dear.
            let mut command = Command::new(program);
            command.args(["-n", node.namespace.name()]).args(arguments);
            // `tc filter` fails where there is no qdisc to ask: that is a fact as well.
            let output = command::output(&mut command)?;
            let text = without_ids(&String::from_utf8_lossy(&output.stdout));
            facts.insert(look.join(" "), text);
        }
        node.namespace.enter(|| read_settings(Path::new("/proc/sys/net"), &mut facts))?;
        list(pins, &mut facts)?;
        Ok(Self(facts))
    }

    /// What differs, one line each; nothing if the two are equal.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let mut places: Vec<_> = self.0.keys().chain(after.0.keys()).collect();
        places.sort_unstable();
        places.dedup();
        places
            .into_iter()
            .filter_map(|place| {
                let (was, is) = (self.0.get(place), after.0.get(place));
                (was != is).then(|| format!("{place}: was {was:?}, is {is:?}"))
            })
            .collect()
    }
}

/// The same without the numbers of programs (`id N`), which each agent has others of.
fn without_ids(text: &str) -> String {
    let mut behind_id = false;
    let kept = |word: &&str| !mem::replace(&mut behind_id, *word == "id ");
    text.split_inclusive(' ').filter(kept).collect()
}

fn read_settings(folder: &Path, facts: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_settings(&path, facts)?;
        } else if !COUNTS.iter().any(|count| path.ends_with(count))
            // Some can not be read: write-only, or unset secrets.
            && let Ok(value) = fs::read_to_string(&path)
        {
            facts.insert(path.display().to_string(), value);
        }
    }
    Ok(())
}

fn list(folder: &Path, facts: &mut BTreeMap<String, String>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    facts.insert(folder.display().to_string(), "folder".into());
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, facts)?;
        } else {
            facts.insert(path.display().to_string(), "pin".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(facts: &[(&str, &str)]) -> Snapshot {
        Snapshot(facts.iter().map(|(place, fact)| ((*place).into(), (*fact).into())).collect())
    }

    #[test]
    fn numbers_of_programs_do_not_count() {
        assert_eq!(without_ids("bpf id 7 name a\nbpf id 8"), "bpf id name a\nbpf id ");
        assert_eq!(without_ids("valid 7 id"), "valid 7 id");
    }

    #[test]
    fn differences_name_the_place() {
        let before = snapshot(&[("a", "1"), ("b", "2")]);
        let after = snapshot(&[("a", "1"), ("c", "3")]);
        assert_eq!(
            before.differences(&after),
            ["b: was Some(\"2\"), is None", "c: was None, is Some(\"3\")"]
        );
        assert!(before.differences(&before).is_empty());
    }
}
