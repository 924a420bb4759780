//! The loaded programs, run on one frame at a time.

use anyhow::{Context as _, Result};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use netpath_agent::{
    config::{Attach, Capacity},
    datapath::{Datapath, Options, Sockets},
};
use netpath_common::Hook;

use super::{Arrival, Counter, Counters, Outcome, Return, room::Room};

/// The part of `struct __sk_buff` that a test run may set. Offsets are those of `linux/bpf.h`.
const SKB_SIZE: usize = 192;
const SKB_MARK: usize = 8;
const SKB_INGRESS_IFINDEX: usize = 36;
const SKB_IFINDEX: usize = 40;

/// `struct xdp_md`: data, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`,
/// `egress_ifindex`.
const XDP_SIZE: usize = 24;
const XDP_DATA_END: usize = 4;
const XDP_INGRESS_IFINDEX: usize = 12;

/// Frames may grow: an answer can be longer than the question.
const GROWTH: usize = 256;

/// The programs and their maps.
#[derive(Debug)]
pub struct Kernel {
    /// The maps.
    pub datapath: Datapath,
    /// Where the programs run.
    pub room: Room,
    /// Those are run that translate packets for Services.
    pub packets: bool,
    slots: Vec<u32>,
}

impl Kernel {
    /// Loads the programs into a room, with maps of these sizes.
    pub fn load(room: Room, endpoints: u32, routes: u32) -> Result<Self> {
        let capacity = Capacity { endpoints, routes, ..Capacity::default() };
        let pins = room.pins.clone();
        let (attach, sockets) = (Attach::Auto, Sockets::Off);
        let options = Options { pins, capacity, attach, packets: false, sockets };
        let datapath = Datapath::open(&options).context("load the programs")?;
        Ok(Self { datapath, room, packets: true, slots: Vec::new() })
    }

    /// Reads the counters of these slots from now on.
    pub fn watch(&mut self, slots: Vec<u32>) {
        self.slots = slots;
    }

    /// Runs the hook's program on a frame.
    pub fn run(&mut self, arrival: &Arrival) -> Result<Outcome> {
        let (outcome, _) = self.repeat(arrival, 1)?;
        Ok(outcome)
    }

    /// Runs the hook's program on a frame many times; also the mean nanoseconds of a run.
    pub fn repeat(&mut self, arrival: &Arrival, times: u32) -> Result<(Outcome, u128)> {
        let Arrival { hook, ifindex, forwarded, namespace, mark, frame } = arrival;
        let mut data_out = vec![0; frame.len() + GROWTH];
        let mut context = vec![0; if *hook == Hook::Xdp { XDP_SIZE } else { SKB_SIZE }];
        let mut set = |offset: usize, value: u32| {
            context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        };
        if *hook == Hook::Xdp {
            set(XDP_DATA_END, u32::try_from(frame.len())?);
            set(XDP_INGRESS_IFINDEX, *ifindex);
        } else {
            set(SKB_MARK, *mark);
            set(SKB_IFINDEX, *ifindex);
            set(SKB_INGRESS_IFINDEX, u32::from(*forwarded));
        }
        let mut context_out = vec![0; context.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut data_out),
            ctx_in: Some(&context),
            ctx_out: Some(&mut context_out),
            repeat: times,
            ..TestRunOptions::new()
        };
        let ebpf = self.datapath.ebpf()?;
        let name = Datapath::program(*hook, self.packets);
        let program = ebpf.program_mut(name).context("the object lacks a program")?;
        let from_pod = *namespace == self.room.pod.number;
        if from_pod {
            self.room.pod.enter()?;
        }
        let run = if *hook == Hook::Xdp {
            <&mut Xdp>::try_from(program)?.test_run(options)
        } else {
            <&mut SchedClassifier>::try_from(program)?.test_run(options)
        };
        if from_pod {
            self.room.node.enter()?;
        }
        let run = run?;
        data_out.truncate(run.data_size_out as usize);
        let mark = match hook {
            Hook::Xdp => 0,
            _ => u32::from_ne_bytes(context_out[SKB_MARK..SKB_MARK + 4].try_into()?),
        };
        let result = match (hook, run.return_value) {
            (Hook::Xdp, 1) => Return::Drop,
            (Hook::Xdp, 2) => Return::Pass,
            (Hook::Xdp, other) => Return::Other(other),
            (_, 2) => Return::Drop,
            (_, u32::MAX) => Return::Pass,
            (_, 7) => Return::Redirect,
            (_, other) => Return::Other(other),
        };
        Ok((Outcome { result, frame: data_out, mark }, run.duration.as_nanos()))
    }

    /// Reads all counters that are not 0.
    pub fn counters(&self) -> Result<Counters> {
        let mut counters = Counters::new();
        for (key, count) in self.datapath.counters()? {
            counters.insert(Counter::Verdict(key), (count.packets, count.bytes));
        }
        for (slot, count) in self.datapath.endpoint_counters(&self.slots)? {
            counters.insert(Counter::Received(slot), (count.rx_packets, count.rx_bytes));
            counters.insert(Counter::Sent(slot), (count.tx_packets, count.tx_bytes));
        }
        counters.retain(|_, moved| *moved != (0, 0));
        Ok(counters)
    }
}
