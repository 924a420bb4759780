//! A container runtime's worker: it makes sandboxes and takes them away, and does not give up.

use std::{
    net::IpAddr,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::IpNet;

use super::Ledger;
use crate::{
    cni::{Ground, Invocation, Plugin},
    sandbox::{
        agent::{Files, Programs},
        namespace::Namespace,
        wait,
    },
};

/// The network's name in the configurations.
pub const NETWORK: &str = "underlay";
const VERSION: &str = "1.1.0";
/// "Try again later", in the CNI specification.
const TRY_AGAIN: u64 = 11;
/// How long an agent may be away.
const ABSENCE: Duration = Duration::from_mins(2);
/// Sandboxes that a worker has at once.
const SANDBOXES: usize = 3;

/// A pod that is attached.
#[derive(Debug)]
pub struct Attached {
    /// The container.
    pub container: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// The addresses that it was told to have.
    pub addresses: Vec<IpAddr>,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Pods that were attached.
    pub attached: u64,
    /// Additions that were cut short.
    pub cut: u64,
    /// Removals that were cut short.
    pub delayed: u64,
    /// Removals whose namespace was gone before.
    pub orphaned: u64,
}

/// A worker.
pub struct Caller<'a> {
    name: String,
    plugin: Plugin,
    socket: PathBuf,
    ledger: &'a Ledger,
    stop: &'a AtomicBool,
    random: fastrand::Rng,
    made: u64,
    sandboxes: [Option<Attached>; SANDBOXES],
    /// What the first sandbox's pod has for good: it has an owner.
    fixed: Option<Vec<IpAddr>>,
    /// What it did.
    pub count: Count,
}

impl<'a> Caller<'a> {
    /// A worker of that name. It ends early when `stop` is set.
    pub fn new(
        name: String,
        (programs, files): (&Programs, &Files),
        ledger: &'a Ledger,
        stop: &'a AtomicBool,
        seed: u64,
    ) -> Self {
        Self {
            name,
            plugin: Plugin::new(programs.plugin()),
            socket: files.socket.clone(),
            ledger,
            stop,
            random: fastrand::Rng::with_seed(seed),
            made: 0,
            sandboxes: Default::default(),
            fixed: None,
            count: Count::default(),
        }
    }

    /// The pods that it has.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.sandboxes.iter().flatten()
    }

    /// The owner of its first pod's addresses, and what they are.
    #[must_use]
    pub fn owner(&self) -> Option<(String, &[IpAddr])> {
        Some((format!("churn/{}", self.name), self.fixed.as_deref()?))
    }

    /// Tells which addresses its owner has from before.
    pub fn expect(&mut self, addresses: Vec<IpAddr>) {
        self.fixed = Some(addresses);
    }

    /// Makes one of its pods anew.
    pub fn round(&mut self) -> Result<()> {
        let at = self.random.usize(..SANDBOXES);
        self.detach(at)?;
        self.attach(at)
    }

    /// Detaches all of its pods.
    pub fn clear(&mut self) -> Result<()> {
        (0..SANDBOXES).try_for_each(|at| self.detach(at))
    }

    /// Makes sandboxes until one is attached.
    pub fn attach(&mut self, at: usize) -> Result<()> {
        loop {
            self.made += 1;
            let container = format!("{}-{}", self.name, self.made);
            let namespace = Namespace::create(&container)?;
            let outcome = self.plugin.run(&self.call("ADD", &container, at))?;
            if outcome.status == Some(0) {
                let addresses = addresses(&outcome.answer()?).context("the plugin's answer")?;
                self.ledger.take(&container, &addresses)?;
                self.sandboxes[at] = Some(Attached { container, namespace, addresses });
                self.count.attached += 1;
                return self.compare(at);
            }
            let (code, message) = outcome.error()?;
            ensure!(code == TRY_AGAIN, "ADD {container}: code {code}: {message}");
            self.count.cut += u64::from(!is_absence(&message));
            // As runtimes do: the failed sandbox goes, with its namespace.
            self.remove(&container, at)?;
            drop(namespace);
            self.wait_for_agent()?;
        }
    }

    /// Detaches a pod; some lose their namespace first.
    pub fn detach(&mut self, at: usize) -> Result<()> {
        let Some(pod) = self.sandboxes[at].take() else { return Ok(()) };
        let Attached { container, namespace, addresses } = pod;
        self.ledger.give_back(&addresses);
        if self.random.u8(..4) == 0 {
            drop(namespace);
            self.count.orphaned += 1;
            return self.remove(&container, at);
        }
        self.remove(&container, at)
    }

    /// DEL until it succeeds.
    fn remove(&mut self, container: &str, at: usize) -> Result<()> {
        loop {
            let outcome = self.plugin.run(&self.call("DEL", container, at))?;
            if outcome.status == Some(0) {
                return outcome.silence();
            }
            let (code, message) = outcome.error()?;
            ensure!(code == TRY_AGAIN, "DEL {container}: code {code}: {message}");
            self.count.delayed += u64::from(!is_absence(&message));
            self.wait_for_agent()?;
        }
    }

    fn call(&self, verb: &str, container: &str, at: usize) -> Invocation {
        let ground = Ground {
            socket: self.socket.clone(),
            netns: PathBuf::from(crate::sandbox::namespace::NAMES).join(container),
            plugins: "/usr/lib/cni".into(),
        };
        let mut config = ground.config(VERSION);
        config["name"] = NETWORK.into();
        config["fixedOwner"] = (at == 0).into();
        let owner = &self.name;
        ground
            .call(verb, container, &config)
            .with("CNI_ARGS", format!("K8S_POD_NAMESPACE=churn;K8S_POD_NAME={owner}"))
    }

    /// Whether the pod has what the plugin said, and its owner what it had before.
    fn compare(&mut self, at: usize) -> Result<()> {
        let Some(pod) = &self.sandboxes[at] else { return Ok(()) };
        if at == 0 {
            let fixed = self.fixed.get_or_insert_with(|| pod.addresses.clone());
            let container = &pod.container;
            ensure!(*fixed == pod.addresses, "{container}: owner had {fixed:?}: {pod:?}");
        }
        Ok(())
    }

    /// Asking without an agent would only take time from the next one.
    fn wait_for_agent(&self) -> Result<()> {
        wait::until("an agent listens", ABSENCE, || {
            if self.stop.load(Ordering::Relaxed) {
                bail!("given up");
            }
            Ok(UnixStream::connect(&self.socket).ok().map(drop))
        })
    }
}

fn is_absence(message: &str) -> bool {
    message.contains("no netpath-agent answers")
}

fn addresses(result: &serde_json::Value) -> Option<Vec<IpAddr>> {
    let ips = result["ips"].as_array()?;
    let address = |ip: &serde_json::Value| ip["address"].as_str()?.parse::<IpNet>().ok();
    ips.iter().map(|ip| Some(address(ip)?.addr())).collect()
}
