//! What an agent with many pods costs: memory, processor time when nothing happens, and the time
//! from its start until it answers.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    agent::{Agent, Settings},
    lab::Lab,
    namespace::Namespace,
    process::{self, Memory},
    together::together,
    topology::INTERFACE,
    wait,
};

/// With the hooks of the kernel.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::once("scale::pods_250", many)]
}

const PODS: usize = 250;
/// Requests at once.
const CALLERS: usize = 8;
/// Memory that the agent may have, in KiB.
const MEMORY: u64 = 20 << 10;
/// Processor time that an idle agent may take, in percent of one processor.
const IDLE: f64 = 0.5;
/// How long it is watched for that: a comparison of everything falls into it.
const WATCHED: Duration = Duration::from_secs(31);
/// How much longer a start with all pods may take than an empty one.
const RATIO: f64 = 20.0;
const START: Duration = Duration::from_mins(1);

fn many(bench: &Bench) -> Result<Outcome> {
    // The wire has no part in what is measured.
    let more = "[announce]\nprobe = false\nannouncements = 0\n".to_owned();
    let lab = Lab::build(&bench.programs, &Settings { more, ..Settings::default() }, 1500)?;
    let pods: Vec<Namespace> = (0..PODS)
        .map(|number| Namespace::create(&format!("{}scale{number}", lab.topology.prefix)))
        .collect::<Result<_>>()?;
    let (agent, first) = start(&lab)?;
    agent.end(Signal::SIGTERM)?;
    let (agent, empty) = start(&lab)?;
    let begin = Instant::now();
    add(&agent, &pods)?;
    let added = begin.elapsed();
    let grown = Memory::of(agent.id())?;
    agent.end(Signal::SIGTERM)?;

    let (agent, adopting) = start(&lab)?;
    // It looks into all pods that it adopted.
    process::idle(agent.id(), Duration::from_secs(1))?;
    let before = process::processor_time(agent.id())?;
    let begin = Instant::now();
    while begin.elapsed() < WATCHED {
        wait::check_interrupt()?;
        thread::sleep(WATCHED.saturating_sub(begin.elapsed()).min(Duration::from_secs(1)));
    }
    let idle = process::processor_time(agent.id())?
        .saturating_sub(before)
        .div_duration_f64(begin.elapsed())
        * 100.0;
    let Memory { now, highest } = Memory::of(agent.id())?;
    let millis = |time: Duration| time.as_millis();
    eprintln!(
        "scale: start {} ms the first time, {} ms empty, {} ms with {PODS} pods; they were added \
         in {} ms\nscale: memory with {PODS} pods: {} KiB after adding them; {now} KiB after \
         adopting them, {highest} KiB at most; idle: {idle:.2} % of a processor",
        millis(first),
        millis(empty),
        millis(adopting),
        millis(added),
        grown.now,
    );
    ensure!(grown.now.max(now) <= MEMORY, "more than {MEMORY} KiB of memory");
    ensure!(idle <= IDLE, "more than {IDLE} % of a processor for nothing");
    ensure!(adopting.div_duration_f64(empty) <= RATIO, "a start takes more than {RATIO} times");
    Ok(Outcome::Passed)
}

/// Starts the agent, and tells how long it took until a request was answered.
fn start(lab: &Lab) -> Result<(Agent, Duration)> {
    let begin = Instant::now();
    let agent = Agent::spawn(&lab.programs, &lab.topology.nodes[0], &lab.files[0])?;
    let answered = wait::until("the agent answers", START, || {
        Ok(agent.is_ready().ok().map(|()| begin.elapsed()))
    });
    let last = agent.last_words();
    Ok((agent, answered.with_context(|| last)?))
}

fn add(agent: &Agent, pods: &[Namespace]) -> Result<()> {
    let one = |number: usize, pod: &Namespace| {
        let netns = pod.path().display().to_string();
        let (v4, v6) = (format!("10.0.1.{}/24", number + 2), format!("fd00:1::1:{number:x}/64"));
        let gateways = ["--gateway", "10.0.1.1", "--gateway", "fd00:1::1"];
        let mut words = vec!["endpoint", "add", pod.name(), "--netns", &netns, "--parent"];
        words.extend([INTERFACE, "--address", &v4, "--address", &v6]);
        words.extend(gateways);
        agent.netpath(&words).map(drop)
    };
    let numbered: Vec<_> = pods.iter().enumerate().collect();
    let callers = numbered
        .chunks(PODS.div_ceil(CALLERS))
        .map(|some| || some.iter().try_for_each(|(number, pod)| one(*number, pod)));
    together(callers)?.into_iter().collect()
}
