//! Services at sockets, on the running kernel: real system calls of this process, in a cgroup of its own,
//! to servers in a network namespace of its own.
//!
//! It needs root and a kernel with cgroups of version 2.

mod bind;
mod cgroup;
mod client;
mod connect;
mod cost;
mod life;
mod send;
mod server;
mod tables;
mod world;

use std::sync::{Arc, Mutex};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::world::World;

type Check = fn(&mut World) -> Result<()>;

const CHECKS: [(&str, Check); 17] = [
    ("sockets::connect::tcp_reaches_a_backend_and_knows_the_service", connect::tcp),
    ("sockets::connect::udp_reaches_a_backend_and_knows_the_service", connect::udp),
    ("sockets::connect::an_ipv6_socket_may_ask_an_ipv4_service", connect::mapped),
    ("sockets::connect::other_destinations_are_left_alone", connect::past),
    ("sockets::connect::nobody_answers", connect::nobody),
    ("sockets::connect::a_node_port_is_one_of_the_nodes_addresses_only", connect::node_port),
    ("sockets::connect::affinity_keeps_the_backend", connect::affinity),
    ("sockets::connect::udp_is_aborted_when_its_backend_goes", connect::aborted),
    ("sockets::connect::backends_have_even_shares", connect::shares),
    ("sockets::send::answers_come_from_the_service", send::answers),
    ("sockets::send::an_ipv6_socket_may_ask_an_ipv4_service", send::mapped),
    ("sockets::send::nobody_answers", send::nobody),
    ("sockets::send::a_socket_stays_and_moves_on", send::stays),
    ("sockets::send::backends_have_even_shares", send::shares),
    ("sockets::bind::node_ports_are_taken", bind::node_ports),
    ("sockets::life::hooks_come_stay_and_go", life::hooks),
    ("sockets::cost::connecting", cost::connecting),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // All share one process, its cgroup and its namespaces.
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = CHECKS.map(|(name, _)| Trial::test(name, || Ok(())));
        libtest_mimic::run(&arguments, trials.into()).exit();
    }
    let world = World::enter().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    });
    let world = Arc::new(Mutex::new(world));
    let trials = CHECKS.map(|(name, check)| {
        let world = Arc::clone(&world);
        Trial::test(name, move || {
            let mut world = world.lock().map_err(|_| Failed::without_message())?;
            check(&mut world).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    // Leaves the cgroup and removes it.
    drop(world);
    conclusion.exit();
}
