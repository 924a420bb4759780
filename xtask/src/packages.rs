//! Debian packages: which program comes from which, and installing the missing ones.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::progress::step;

/// A file or program that we need, and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// A program's name, or a path if it starts with a slash.
    pub(crate) what: &'static str,
    pub(crate) package: &'static str,
}

const fn need(what: &'static str, package: &'static str) -> Need {
    Need { what, package }
}

/// The C compiler of static programs: ring, which the agent's TLS is made with, has parts in C.
pub(crate) const MUSL: [Need; 1] = [need("musl-gcc", "musl-tools")];

/// The C compiler of static programs for arm64, which links them as well. Headers are the C library's,
/// which are recommended only.
pub(crate) const MUSL_ARM64: [Need; 2] = [
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    need("/usr/aarch64-linux-gnu/include/stdint.h", "libc6-dev-arm64-cross"),
];

/// Programs that the sandbox and the tests call, on this machine or in a guest.
pub(crate) const NETWORK: [Need; 6] = [
    need("ip", "iproute2"),
    need("bpftool", "bpftool"),
    need("nft", "nftables"),
    need("xtables-nft-multi", "iptables"),
    need("ping", "iputils-ping"),
    need("modprobe", "kmod"),
];

/// Clients that everybody has, of Services and of clusters, for tests on this machine.
pub(crate) const CLIENTS: [Need; 6] = [
    need("curl", "curl"),
    need("dig", "bind9-dnsutils"),
    need("nc", "netcat-openbsd"),
    need("iperf3", "iperf3"),
    need("kubectl", "kubernetes-client"),
    need("/usr/lib/cni/macvlan", "containernetworking-plugins"),
];

/// An interpreter that makes environments of its own.
pub(crate) const PYTHON: [Need; 2] =
    [need("/usr/bin/python3", "python3"), need("/usr/share/doc/python3-venv", "python3-venv")];

/// What making and starting a guest needs besides.
pub(crate) const GUEST: [Need; 5] = [
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("busybox", "busybox-static"),
    need("xz", "xz-utils"),
    need("mke2fs", "e2fsprogs"),
    need(KEYRING, "debian-archive-keyring"),
];

/// The keys that Debian's archive is signed with.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Need {
    fn is_met(self) -> bool {
        if self.what.starts_with('/') {
            Path::new(self.what).exists()
        } else {
            command::find(self.what).is_some()
        }
    }
}

/// Installs what is missing, and only that.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing = needs.iter().filter(|need| !need.is_met()).map(|need| need.package);
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if command::find("apt-get").is_none() {
        bail!("these Debian packages are needed and there is no apt-get to install them: {names}");
    }
    step(format!("Installing Debian packages: {names}"));
    if command::run(apt_install().args(&missing)).is_err() {
        // Package lists are absent or too old on a fresh machine: refresh them, once.
        step("Refreshing package lists");
        command::run(command::as_root("apt-get").args(["-q", "update"]))?;
        command::run(apt_install().args(&missing))?;
    }
    match needs.iter().find(|need| !need.is_met()) {
        Some(Need { what, package }) => bail!("package {package} did not bring {what}"),
        None => Ok(()),
    }
}

fn apt_install() -> Command {
    let mut apt = command::as_root("env");
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "--yes"]);
    // Another package manager may be at work (a fresh cloud machine's own updates): wait.
    apt.args(["--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}
