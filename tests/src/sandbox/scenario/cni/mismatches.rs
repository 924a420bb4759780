//! CHECK: everything that can be otherwise is named.

use std::{fs, net::Ipv4Addr, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    cni::Outcome,
    sandbox::{host::Host, namespace::Namespace, process, wait},
};

/// What the runtime believes, against what was made.
pub(super) fn result(host: &mut Host) -> Result<()> {
    let (pod, other) = (host.sandbox("believed")?, host.sandbox("elsewhere")?);
    let answer = host.add(&pod)?.answer()?;
    let changes: [(&str, &str, Value); 5] = [
        ("mac", "/interfaces/0/mac", "02:00:00:00:00:99".into()),
        ("mtu", "/interfaces/0/mtu", 1400.into()),
        ("address 10.0.1.99/24", "/ips/0/address", "10.0.1.99/24".into()),
        ("address fd00:1::99/64", "/ips/1/address", "fd00:1::99/64".into()),
        ("route 0.0.0.0/0", "/routes/0/gw", "10.0.1.2".into()),
    ];
    for (about, pointer, value) in changes {
        let mut believed = answer.clone();
        *believed.pointer_mut(pointer).with_context(|| format!("{pointer} of {answer}"))? = value;
        host.check(&pod, &believed)?.refusal(103, &format!("{about}:"))?;
    }
    let mut config = host.ground.config("1.1.0");
    config["prevResult"] = answer;
    host.call("CHECK", pod.name(), &other.path(), &config)?.refusal(103, "netns:")?;
    host.del(&pod)
}

/// What is named, and how it is broken.
type Loss = (&'static str, fn(&Host, &Namespace) -> Result<()>);

/// What the agent finds when it looks from time to time: the check comes in between.
const SILENT: [Loss; 4] = [
    ("map entry 10.0.1.", |host, _| lose_entry(host)),
    ("hook ingress of eth0", |host, _| lose_hook(host, "ingress")),
    ("hook egress of eth0", |host, _| lose_hook(host, "egress")),
    ("neighbour 10.0.1.", |host, _| lose_entry(host)),
];

/// What it hears of, and repairs after a fifth of a second.
const HEARD: [Loss; 9] = [
    ("link eth0: expected an ipvlan interface", |_, pod| ip(pod, "link del eth0")),
    ("link eth0: expected up", |_, pod| ip(pod, "link set eth0 down")),
    ("alias of eth0", |_, pod| ip(pod, "link set eth0 alias mine")),
    ("MTU of eth0", |_, pod| ip(pod, "link set eth0 mtu 1400")),
    ("mode of eth0", |_, pod| ip(pod, "link set eth0 type ipvlan mode l3")),
    ("address 10.0.1.", |_, pod| ip(pod, "addr flush dev eth0 scope global")),
    ("address fd00:1::", |_, pod| ip(pod, "addr flush dev eth0 scope global")),
    ("route 0.0.0.0/0", |_, pod| ip(pod, "route del 0.0.0.0/0")),
    ("route ::/0", |_, pod| ip(pod, "route del ::/0 dev eth0")),
];

/// A loaded guest may be too slow to look before it is repaired.
const TRIES: u32 = 10;
/// Longer than the agent lets events settle until it looks, and looks.
const QUIET: Duration = Duration::from_millis(500);
const REPAIR: Duration = Duration::from_secs(10);

pub(super) fn kernel(host: &mut Host) -> Result<()> {
    let pod = host.sandbox("broken")?;
    let answer = host.add(&pod)?.answer()?;
    let mut problems = Vec::new();
    // A filter that is gone is heard of, and back before anybody could ask.
    let linked = !host.links()?.is_empty();
    let silent = SILENT.iter().filter(|(about, _)| linked || !about.starts_with("hook"));
    let silent = silent.map(|loss| (loss, false));
    for ((about, lose), heard) in silent.chain(HEARD.iter().map(|loss| (loss, true))) {
        let mut named = Ok(());
        for _ in 0..TRIES {
            named = if heard {
                stopped(host, || lose(host, &pod), || host.check(&pod, &answer))
            } else {
                lose(host, &pod).and_then(|()| host.check(&pod, &answer))
            }
            .with_context(|| *about)?
            .refusal(103, about);
            wait::until(&format!("{about} is repaired"), REPAIR, || {
                Ok(host.check(&pod, &answer)?.silence().ok())
            })?;
            if named.is_ok() {
                break;
            }
        }
        problems.extend(named.err().map(|error| format!("{about}: {error:#}")));
    }
    host.del(&pod)?;
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

/// Loses something while the agent stands still, and lets it go on when the question waits for it:
/// what it hears of then waits for the pod's turn, which the question has.
fn stopped(
    host: &Host,
    lose: impl FnOnce() -> Result<()>,
    check: impl FnOnce() -> Result<Outcome> + Send,
) -> Result<Outcome> {
    let agent = host.agent().id();
    // A look that an earlier change asked for would come first.
    process::idle(agent, QUIET)?;
    let agent = Pid::from_raw(agent.cast_signed());
    kill(agent, Signal::SIGSTOP)?;
    let broken = lose();
    let before = sockets(host)?;
    thread::scope(|scope| {
        let check = scope.spawn(check);
        let asked = wait::until("the question waits for the agent", REPAIR, || {
            Ok((sockets(host)? > before).then_some(()))
        });
        kill(agent, Signal::SIGCONT)?;
        broken.and(asked)?;
        check.join().map_err(|_| anyhow!("the check panicked"))?
    })
}

/// The agent's sockets: the one that listens, and the agent's ends of connections.
fn sockets(host: &Host) -> Result<usize> {
    let path = host.ground.socket.display().to_string();
    let list = || fs::read_to_string("/proc/thread-self/net/unix").context("list sockets");
    let list = host.node().namespace.enter(list)?;
    Ok(list.lines().filter(|line| line.ends_with(&path)).count())
}

fn ip(pod: &Namespace, line: &str) -> Result<()> {
    pod.ip(&[line.to_owned()])
}

/// Deletes the entries of the pod's IPv4 addresses.
fn lose_entry(host: &Host) -> Result<()> {
    let of_pods = |address: Ipv4Addr| matches!(address.octets(), [10, _, 1, _]);
    let like = |key: &&Value| {
        let address = key.as_str().and_then(|text| text.parse().ok());
        address.is_some_and(of_pods)
    };
    let keys = host.keys("endpoints")?;
    keys.iter().filter(like).try_for_each(|key| host.delete_key("endpoints", key))
}

/// Removes a link's pin.
fn lose_hook(host: &Host, hook: &str) -> Result<()> {
    let ending = format!("-{hook}");
    let links = host.links()?;
    let link = links.iter().find(|link| link.to_string_lossy().ends_with(&ending));
    Ok(fs::remove_file(link.with_context(|| format!("no link of {hook}"))?)?)
}
