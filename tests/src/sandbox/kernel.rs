//! The running kernel's release.

use anyhow::{Context as _, Result};

use super::namespace::Namespace;

/// The release, as `uname -r` prints it.
pub fn release() -> Result<String> {
    let name = nix::sys::utsname::uname().context("ask for the kernel's release")?;
    Ok(name.release().to_string_lossy().into_owned())
}

/// Whether the running kernel is `major.minor` or later.
pub fn at_least(major: u32, minor: u32) -> Result<bool> {
    let release = release()?;
    let version = version(&release).with_context(|| format!("kernel release {release:?}"))?;
    Ok(version >= (major, minor))
}

/// Whether the running kernel is one of `major.minor`.
pub fn is(major: u32, minor: u32) -> Result<bool> {
    Ok(at_least(major, minor)? && !at_least(major, minor + 1)?)
}

/// Whether it makes ipvlan interfaces, tried in a namespace of that name.
pub fn has_ipvlan(scratch: &str) -> Result<bool> {
    let namespace = Namespace::create(scratch)?;
    namespace.ip(&["link add p0 type veth peer name p1".to_owned()])?;
    Ok(namespace.ip(&["link add i0 link p0 type ipvlan mode l2".to_owned()]).is_ok())
}

/// Whether it makes bonds and VLANs, tried in a namespace of that name.
pub fn has_bonds_and_vlans(scratch: &str) -> Result<bool> {
    let namespace = Namespace::create(scratch)?;
    let lines = ["link add b0 type bond", "link add link b0 name v0 type vlan id 7"];
    Ok(namespace.ip(&lines.map(str::to_owned)).is_ok())
}

/// Why something that takes long and depends on no kernel is left out on this one, if it is: it runs
/// on Linux 6.12.
pub fn left_out() -> Result<Option<String>> {
    Ok((!is(6, 12)?).then(|| "it takes long, and runs on Linux 6.12".to_owned()))
}

/// The kernels of guests.
const GUESTS: [(u32, u32); 4] = [(5, 10), (6, 1), (6, 12), (7, 3)];

/// The place of this kernel among those of guests; none if it is none of theirs.
pub fn guest() -> Result<Option<usize>> {
    for (place, (major, minor)) in GUESTS.into_iter().enumerate() {
        if is(major, minor)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Why something with one generation of TC hooks is left out on this kernel, if it is. Filters where
/// there are links as well are tried on the newest kernel alone.
pub fn without_hooks(attach: &str) -> Result<Option<String>> {
    let links = at_least(6, 6)?;
    Ok(match attach {
        "tcx" if !links => Some("tcx links need Linux 6.6".to_owned()),
        "netlink" if links && !at_least(6, 13)? => {
            Some("filters beside links are tried on a later kernel".to_owned())
        }
        _ => None,
    })
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("6.12.43+deb13-cloud-amd64"), Some((6, 12)));
        assert_eq!(version("7.3-rc1"), Some((7, 3)));
        assert!(version("6.1.0-37-cloud-amd64") < version("6.6.1"));
        assert_eq!(version("next"), None);
    }
}
