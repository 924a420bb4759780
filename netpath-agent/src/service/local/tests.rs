use super::*;

fn spec(service: &str, addresses: &[&str]) -> LocalSpec {
    LocalSpec {
        service: service.parse().expect("name"),
        addresses: addresses.iter().map(|it| it.parse().expect("address")).collect(),
        fallback: true,
    }
}

#[test]
fn addresses_have_a_port_or_none() {
    for text in ["169.254.20.10", "169.254.20.10:53", "fd00::a", "[fd00::a]:53"] {
        let address: LocalAddress = text.parse().expect(text);
        assert_eq!(address.to_string(), text);
        assert_eq!(address.port.is_some(), text.ends_with(":53"));
    }
    for bad in ["", "dns", "169.254.20.10:", "169.254.20.10:70000", "fd00::a:53x"] {
        assert!(bad.parse::<LocalAddress>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    check(&[spec("a/a", &["10.0.0.1"]), spec("a/b", &["10.0.0.1:53"])]).expect("right");
    let wrong = |specs: &[LocalSpec]| check(specs).expect_err("wrong");
    let name = "a/a".parse().expect("name");
    let twice = [spec("a/a", &["10.0.0.1"]), spec("a/a", &["10.0.0.2"])];
    assert_eq!(wrong(&twice), (1, Invalid::Twice { name, first: 0 }));
    assert_eq!(wrong(&[spec("a/a", &[])]), (0, Invalid::NoAddress));
    assert_eq!(wrong(&[spec("a/a", &["10.0.0.1:0"])]), (0, Invalid::PortZero));
    let (_, loopback) = wrong(&[spec("a/a", &["127.0.0.1:53"])]);
    assert_eq!(
        (loopback.field(), loopback),
        ("addresses", Invalid::Unreachable([127, 0, 0, 1].into()))
    );
}
