//! The agent is killed again and again while container runtimes make and remove pods.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::signal::Signal;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    agent::{Agent, Settings},
    churn::{self, Caller, Ledger},
    lab::Lab,
    wait,
};

/// On one kernel: who is killed is a process.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::once("storm::agent_killed", storm)]
}

const CALLERS: u64 = 8;
/// One kill in so many comes while the agent starts.
const EARLY: u64 = 4;
/// How long an agent that has started lives at most, on a fast machine.
const LIFE: Duration = Duration::from_secs(3);
/// A sign of life of the callers.
const ROUNDS_TAKE: Duration = Duration::from_mins(10);

fn storm(bench: &Bench) -> Result<Outcome> {
    let seed = bench.effort.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("storm: seed {seed}");
    let settings = Settings { more: churn::pools(1), ..Settings::default() };
    let lab = Lab::build(&bench.programs, &settings, 1500)?;
    let node = &lab.topology.nodes[0];
    let start = || Agent::start(&lab.programs, node, &lab.files[0]);

    let begin = Instant::now();
    let agent = start()?;
    let takes = begin.elapsed();
    let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
    let prefix = format!("{}storm", lab.topology.prefix);
    let mut callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let name = format!("{prefix}{number}");
            let own = seed.wrapping_add(number + 1);
            Caller::new(name, (&lab.programs, &lab.files[0]), &ledger, &stop, own)
        })
        .collect();
    let rounds = AtomicU64::new(bench.effort.rounds);
    let watching = AtomicBool::new(false);
    let (ended, looks) = thread::scope(|scope| {
        let looks = scope.spawn(|| churn::watch(&prefix, &watching));
        let workers: Vec<_> =
            callers.iter_mut().map(|caller| scope.spawn(|| work(caller, &rounds, &stop))).collect();
        let busy = || workers.iter().any(|worker| !worker.is_finished());
        let ended = kill_again(agent, (&lab, takes), seed, busy);
        if ended.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let panicked = || Err(anyhow!("panicked"));
        let worked: Result<Vec<()>> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| panicked()))
            .collect();
        watching.store(true, Ordering::Relaxed);
        let looks = looks.join().unwrap_or_else(|_| Err(anyhow!("panicked")));
        (worked.and(ended), looks)
    });
    let (agent, kills) = ended.with_context(|| format!("seed {seed}"))?;
    let looks = looks.with_context(|| format!("seed {seed}"))?;

    let sum = |count: fn(&churn::Count) -> u64| -> u64 {
        callers.iter().map(|caller| count(&caller.count)).sum()
    };
    eprintln!(
        "storm: {} rounds in {:.0} s, {kills} kills, start {} ms; {} pods attached, {} additions \
         and {} removals cut short, {} orphaned; {looks} looks for an address that two have",
        bench.effort.rounds,
        begin.elapsed().as_secs_f32(),
        takes.as_millis(),
        sum(|count| count.attached),
        sum(|count| count.cut),
        sum(|count| count.delayed),
        sum(|count| count.orphaned),
    );
    ensure!(kills > 0, "nothing was killed");
    let after = churn::agree(agent, node, &callers).with_context(|| format!("seed {seed}"))?;
    eprintln!("storm: after it, {after}");
    let agent = start()?;
    callers.iter_mut().try_for_each(Caller::clear)?;
    churn::cooled(&agent)?;
    let end = churn::agree(agent, node, &callers).with_context(|| format!("seed {seed}"))?;
    eprintln!("storm: in the end, {end}");
    Ok(Outcome::Passed)
}

/// Rounds until all are done.
fn work(caller: &mut Caller<'_>, rounds: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let more = |left: u64| left.checked_sub(1);
    while !stop.load(Ordering::Relaxed)
        && rounds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    {
        if let Err(error) = caller.round() {
            // Whoever gives up after another one has nothing to add.
            return if stop.swap(true, Ordering::Relaxed) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Kills the agent and starts the next one, as long as the callers are busy. Returns the last one,
/// and how many were killed.
fn kill_again(
    mut agent: Agent,
    (lab, takes): (&Lab, Duration),
    seed: u64,
    busy: impl Fn() -> bool,
) -> Result<(Agent, u64)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    let mut started = true;
    loop {
        let early = random.u64(..EARLY) == 0 && !started;
        if !early {
            agent.wait()?;
        }
        // Where a start takes long, so does everything else: some additions must come to their end.
        let limit = if early { takes } else { LIFE.max(takes * 4) };
        let due = Instant::now() + limit.mul_f64(random.f64());
        let over = || Ok((!busy() || Instant::now() >= due).then_some(()));
        wait::until("the next kill", ROUNDS_TAKE, over)?;
        if !busy() {
            agent.wait()?;
            return Ok((agent, kills));
        }
        agent.check_running()?;
        let files = agent.end(Signal::SIGKILL)?;
        kills += 1;
        agent = Agent::spawn(&lab.programs, &lab.topology.nodes[0], &files)?;
        started = false;
    }
}
