//! A table of specifications and the answer each must get.

use super::*;

fn spec(addresses: &[&str], gateways: &[&str], mtu: Option<u32>) -> EndpointSpec {
    EndpointSpec {
        name: "web-0".parse().expect("name"),
        netns: "/run/netns/web-0".into(),
        interface: InterfaceName::ETH0,
        parent: InterfaceName::ETH0,
        attachment: None,
        addresses: addresses.iter().map(|text| text.parse().expect("address")).collect(),
        gateways: gateways.iter().map(|text| text.parse().expect("gateway")).collect(),
        table: Table::MAIN,
        mtu,
    }
}

#[test]
fn good_ones_pass() {
    for (addresses, gateways, mtu) in [
        (&["10.0.1.5/24"][..], &[][..], None),
        (&["10.0.1.5/24", "fd00::5/64"], &["10.0.1.1", "fd00::1"], Some(1500)),
        (&["fd00::5/64"], &["fe80::1"], Some(9000)),
        (&["10.0.1.5/32", "fd00::5/128"], &["169.254.1.1", "fd00:1::1"], None),
        (&["10.0.1.0/31"], &["10.0.1.1"], Some(68)),
        (&["10.0.1.5/24", "10.0.2.5/24"], &["10.0.2.1"], None),
    ] {
        assert_eq!(spec(addresses, gateways, mtu).check(), Ok(()), "{addresses:?}");
    }
}

#[test]
fn bad_ones_name_the_field() {
    for (addresses, gateways, mtu, field, text) in [
        (&[][..], &[][..], None, "addresses", "no address given"),
        (&["10.0.1.5/24", "10.0.1.5/16"], &[], None, "addresses", "10.0.1.5 is given twice"),
        (&["0.0.0.0/8"], &[], None, "addresses", "0.0.0.0/8 can not be"),
        (&["0.1.2.3/8"], &[], None, "addresses", "0.1.2.3/8 can not be"),
        (&["127.0.0.2/8"], &[], None, "addresses", "127.0.0.2/8 can not be"),
        (&["224.0.0.1/4"], &[], None, "addresses", "224.0.0.1/4 can not be"),
        (&["255.255.255.255/32"], &[], None, "addresses", "255.255.255.255/32 can not be"),
        (&["10.0.1.5/0"], &[], None, "addresses", "10.0.1.5/0 can not be"),
        (&["10.0.1.0/24"], &[], None, "addresses", "10.0.1.0/24 is the first or last"),
        (&["10.0.1.255/24"], &[], None, "addresses", "10.0.1.255/24 is the first or last"),
        (&["::/64"], &[], None, "addresses", "::/64 can not be"),
        (&["::1/128"], &[], None, "addresses", "::1/128 can not be"),
        (&["ff02::1/64"], &[], None, "addresses", "ff02::1/64 can not be"),
        (&["::ffff:10.0.0.1/128"], &[], None, "addresses", "can not be"),
        (&["fe80::5/64"], &[], None, "addresses", "fe80::5/64 is link-local"),
        (&["fd00::5/0"], &[], None, "addresses", "fd00::5/0 can not be"),
        (&["10.0.1.5/24"], &["10.0.2.1"], None, "gateways", "gateway 10.0.2.1 is in no subnet"),
        (&["10.0.1.5/24"], &["fd00::1"], None, "gateways", "gateway fd00::1 is in no subnet"),
        (&["10.0.1.5/24"], &["fe80::1"], None, "gateways", "gateway fe80::1 is in no subnet"),
        (&["10.0.1.5/24"], &["10.0.1.5"], None, "gateways", "own address"),
        (&["10.0.1.5/24"], &["10.0.1.1", "10.0.1.2"], None, "gateways", "10.0.1.2 is the second"),
        (&["10.0.1.5/24"], &[], Some(67), "mtu", "expected 68 to 65535"),
        (&["fd00::5/64"], &[], Some(1279), "mtu", "expected 1280 to 65535"),
        (&["10.0.1.5/24"], &[], Some(65536), "mtu", "expected 68 to 65535"),
    ] {
        let invalid = spec(addresses, gateways, mtu).check().expect_err(text);
        assert_eq!(invalid.field(), field, "{invalid}");
        assert!(invalid.to_string().contains(text), "{invalid}");
    }
}

#[test]
fn a_relative_namespace_is_refused() {
    let spec = EndpointSpec { netns: "web-0".into(), ..spec(&["10.0.1.5/24"], &[], None) };
    assert_eq!(spec.check(), Err(Invalid::Netns("web-0".into())));
}

#[test]
fn unknown_keys_are_errors() {
    let text = r#"{"name":"a","netns":"/n","parent":"eth0","addresses":[],"adresses":[]}"#;
    let error = serde_json::from_str::<EndpointSpec>(text).expect_err("a typing error");
    assert!(error.to_string().contains("unknown field `adresses`"), "{error}");
}
