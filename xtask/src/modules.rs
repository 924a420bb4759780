//! Kernel modules that a guest loads: what the dataplane, the scenarios and the compared
//! ways of wiring pods need. Their dependencies come by themselves.

/// The guest's channels to the host. Built in from 6.12 on.
const CHANNEL: [&str; 2] = ["virtio_pci", "virtio_console"];

/// Counters of nftables, which are a part of it from 5.18 on.
const COUNTER: &str = "nft_counter";

const LINKS: [&str; 11] = [
    "ipvlan",
    "macvlan",
    "veth",
    "bridge",
    "dummy",
    "8021q",
    "vxlan",
    "bonding",
    "vrf",
    "tun",
    "virtio_net",
];

const TRAFFIC_CONTROL: [&str; 8] = [
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "cls_matchall",
    "act_mirred",
    "act_bpf",
    "sch_fq",
    "sch_netem",
];

const NETFILTER: [&str; 28] = [
    "nf_tables",
    COUNTER,
    "nft_chain_nat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_log",
    "nft_limit",
    "nft_numgen",
    "nft_hash",
    "nft_reject_inet",
    "nft_fib_inet",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nft_compat",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "br_netfilter",
    "xt_nat",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_REDIRECT",
    "xt_mark",
    "xt_comment",
    "xt_addrtype",
    "xt_statistic",
    "xt_tcpudp",
];

const DIAGNOSIS: [&str; 4] = ["inet_diag", "tcp_diag", "udp_diag", "af_packet_diag"];

/// Disks, and the root folder that is made of one.
const DISKS: [&str; 3] = ["virtio_blk", "ext4", "overlay"];

/// What container runtimes ask iptables for.
const RUNTIMES: [&str; 1] = ["xt_multiport"];

/// Whether newer kernels have a module built in. Not all of their packages list what is: such a module
/// is not missed.
pub(crate) fn is_built_in_later(name: &str) -> bool {
    CHANNEL.contains(&name) || name == COUNTER
}

/// All of them, channels first; those for disks only where there are any.
pub(crate) fn all(disks: bool) -> Vec<&'static str> {
    let always = [&CHANNEL[..], &LINKS, &TRAFFIC_CONTROL, &NETFILTER, &DIAGNOSIS].concat();
    let with_disks = [&DISKS[..], &RUNTIMES].concat();
    always.into_iter().chain(with_disks.into_iter().filter(|_| disks)).collect()
}
