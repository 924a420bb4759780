//! Probes, announcements and questions between two network namespaces, with the kernel's own ARP
//! and neighbour discovery at the other end. Needs root.

use std::{
    net::IpAddr,
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use netpath_agent::{
    announce::{self, Announcer, Conflict, Error, Interface, PROBE_TIMEOUT, Probes},
    netlink,
};
use netpath_common::Mac;
use netpath_tests::sandbox::{command, namespace::Namespace, wait};
use nix::net::if_::if_nametoindex;

const LINK: &str = "eth0";
const NEAR: Mac = Mac::new([2, 0, 0, 0, 0, 1]);
const FAR: Mac = Mac::new([2, 0, 0, 0, 0, 2]);
/// What the far end has.
const TAKEN: [&str; 2] = ["10.0.0.2", "fd00::2"];
/// What nobody has.
const FREE: [&str; 2] = ["10.0.0.9", "fd00::9"];
/// What the machine may add to a time.
const SLACK: Duration = Duration::from_secs(1);

/// Two namespaces and a cable.
struct Cable {
    near: Namespace,
    far: Namespace,
}

impl Cable {
    /// The far end has addresses, the near end has none.
    fn lay(far_mac: Mac) -> Result<Self> {
        static LAID: AtomicU32 = AtomicU32::new(0);
        let unique = format!("np-{}-{}", process::id(), LAID.fetch_add(1, Ordering::Relaxed));
        let [near, far] = ["near", "far"].map(|end| Namespace::create(&format!("{unique}-{end}")));
        let (near, far) = (near?, far?);
        near.ip(&[
            format!(
                "link add {LINK} address {NEAR} type veth peer name {LINK} address {far_mac} netns {}",
                far.name()
            ),
            // As a pod's child: without the address that the kernel would give it.
            format!("link set {LINK} addrgenmode none"),
            format!("link set {LINK} up"),
        ])?;
        far.ip(&[
            format!("link set {LINK} up"),
            format!("addr add {}/24 dev {LINK}", TAKEN[0]),
            format!("addr add {}/64 dev {LINK} nodad", TAKEN[1]),
        ])?;
        let cable = Self { near, far };
        for end in [&cable.near, &cable.far] {
            wait::until("a carrier", Duration::from_secs(10), || {
                let mut ip = Command::new("ip");
                let shown = command::run(ip.args(["-n", end.name(), "link", "show", LINK]))?;
                Ok(shown.contains("state UP").then_some(()))
            })?;
        }
        Ok(cable)
    }

    fn near(&self) -> Result<Interface> {
        interface(&self.near, NEAR)
    }

    fn far(&self) -> Result<Interface> {
        interface(&self.far, FAR)
    }

    /// Announces free addresses from the near end.
    fn announce(&self) -> Result<(), Error> {
        let Interface { namespace, name, mac } = self.near().expect("the near end");
        namespace.run(|| {
            let index = if_nametoindex(name.as_str()).expect("its index");
            Announcer::open()?.announce((&name, index), mac, addresses(FREE))
        })?
    }

    /// The Ethernet address that the far end has cached.
    fn cached(&self, address: &str) -> Result<String> {
        let mut ip = Command::new("ip");
        command::run(ip.args(["-n", self.far.name(), "neigh", "show", address, "dev", LINK]))
    }
}

fn interface(namespace: &Namespace, mac: Mac) -> Result<Interface> {
    let namespace = Arc::new(netlink::Namespace::open(&namespace.path())?);
    Ok(Interface { namespace, name: LINK.parse()?, mac })
}

fn addresses(texts: [&str; 2]) -> [IpAddr; 2] {
    texts.map(|text| text.parse().expect("an address"))
}

fn conflicts(texts: [&str; 2], mac: Mac) -> Vec<Conflict> {
    addresses(texts).map(|address| Conflict { address, mac }).to_vec()
}

#[tokio::test]
async fn who_has_an_address_is_found() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let start = Instant::now();
    let found = Probes::default().probe(&cable.near()?, &addresses(TAKEN), PROBE_TIMEOUT).await?;
    println!("both families answered in {:?}", start.elapsed());
    assert_eq!(found, conflicts(TAKEN, FAR));
    Ok(())
}

#[tokio::test]
async fn a_free_address_is_free_in_time() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let all = [addresses(FREE), addresses(TAKEN)].concat();
    let start = Instant::now();
    let found = Probes::default().probe(&cable.near()?, &all, PROBE_TIMEOUT).await?;
    let took = start.elapsed();
    println!("four addresses took {took:?}");
    assert_eq!(found, conflicts(TAKEN, FAR));
    assert!((PROBE_TIMEOUT..PROBE_TIMEOUT + SLACK).contains(&took), "took {took:?}");
    Ok(())
}

#[tokio::test]
async fn two_who_probe_at_once_do_not_both_take_it() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let (near, far) = (cable.near()?, cable.far()?);
    let (one, other) = (Probes::default(), Probes::default());
    let free = addresses(FREE);
    let (seen_near, seen_far) = tokio::try_join!(
        one.probe(&near, &free, 2 * PROBE_TIMEOUT),
        other.probe(&far, &free, 2 * PROBE_TIMEOUT),
    )?;
    // Who starts first may miss the other's question, and the other stops when it hears his.
    for (near, far) in conflicts(FREE, FAR).iter().zip(&conflicts(FREE, NEAR)) {
        let seen = (seen_near.contains(near), seen_far.contains(far));
        assert_ne!(seen, (false, false), "{}: both take it", near.address);
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_by_our_own_mac_is_told_at_the_end() -> Result<()> {
    let cable = Cable::lay(NEAR)?;
    let start = Instant::now();
    let found = Probes::default().probe(&cable.near()?, &addresses(TAKEN), PROBE_TIMEOUT).await?;
    assert_eq!(found, conflicts(TAKEN, NEAR));
    assert!(start.elapsed() >= PROBE_TIMEOUT, "a foreign answer may still come");
    Ok(())
}

#[tokio::test]
async fn probes_for_one_address_take_turns() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let near = cable.near()?;
    let probes = Probes::default();
    let (free, timeout) = (addresses(FREE), Duration::from_millis(200));
    let start = Instant::now();
    let (first, second) = tokio::try_join!(
        probes.probe(&near, &free, timeout),
        probes.probe(&near, &free, timeout),
    )?;
    assert_eq!([first, second], [vec![], vec![]]);
    assert!(start.elapsed() >= 2 * timeout, "took {:?}", start.elapsed());
    Ok(())
}

#[test]
fn an_announcement_replaces_what_is_cached() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    for address in FREE {
        let cached =
            format!("neigh add {address} lladdr 02:00:00:00:00:99 dev {LINK} nud reachable");
        cable.far.ip(&[cached])?;
        assert!(cable.cached(address)?.contains("02:00:00:00:00:99"), "{address}");
    }
    cable.announce()?;
    for address in FREE {
        wait::until("the new Ethernet address", SLACK, || {
            Ok(cable.cached(address)?.contains(&NEAR.to_string()).then_some(()))
        })?;
    }
    Ok(())
}

#[tokio::test]
async fn a_gateway_answers_or_not() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let near = cable.near()?;
    let own = FREE;
    cable.near.ip(&[
        format!("addr add {}/24 dev {LINK}", own[0]),
        format!("addr add {}/64 dev {LINK} nodad", own[1]),
    ])?;
    let own = addresses(own);
    for (own, gateway) in own.into_iter().zip(addresses(TAKEN)) {
        let start = Instant::now();
        let found = announce::gateway(&near, own, gateway, PROBE_TIMEOUT).await?;
        println!("{gateway} answered in {:?}", start.elapsed());
        assert_eq!(found, Some(FAR), "{gateway}");
    }
    for (own, gateway) in own.into_iter().zip(addresses(["10.0.0.3", "fd00::3"])) {
        let start = Instant::now();
        let found = announce::gateway(&near, own, gateway, PROBE_TIMEOUT).await?;
        assert_eq!(found, None, "{gateway}");
        assert!((PROBE_TIMEOUT..PROBE_TIMEOUT + SLACK).contains(&start.elapsed()), "{gateway}");
    }
    let mixed = announce::gateway(&near, own[0], own[1], PROBE_TIMEOUT).await;
    assert!(matches!(mixed, Err(Error::Families { .. })), "{mixed:?}");
    Ok(())
}

#[tokio::test]
async fn an_interface_that_is_down_or_gone_is_an_error() -> Result<()> {
    let cable = Cable::lay(FAR)?;
    let near = cable.near()?;
    let free = addresses(FREE);
    let probes = Probes::default();
    cable.near.ip(&[format!("link set {LINK} down")])?;
    let down = probes.probe(&near, &free, PROBE_TIMEOUT).await;
    assert!(matches!(down, Err(Error::Down(_))), "{down:?}");
    let down = cable.announce();
    assert!(matches!(down, Err(Error::Down(_))), "{down:?}");
    cable.near.ip(&[format!("link del {LINK}")])?;
    let gone = probes.probe(&near, &free, PROBE_TIMEOUT).await;
    assert!(matches!(gone, Err(Error::Socket { .. })), "{gone:?}");
    Ok(())
}
