//! Files, and what each must be told.

use std::path::Path;

use super::*;

const PARENT: &str = "[[parent]]\nname = \"eth0\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("netpath.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn the_default_file_is_the_default() {
    let text = default_file().expect("default file");
    let config = parse(&text).expect("valid");
    let expected = Config { parents: vec![Parent::example()], ..Config::default() };
    assert_eq!(config, expected);
    assert!(text.lines().all(|line| line.len() <= 92), "{text}");
}

#[test]
fn the_default_files_examples_are_valid() {
    let text = default_file().expect("default file");
    let (head, examples) = text.split_once("# [[route]]\n").expect("a route");
    let values: Vec<_> = examples
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = ") || line.starts_with("[["))
        .collect();
    let values = values.join("\n");
    let config = parse(&format!("{head}[[route]]\n{values}")).expect("valid");
    let [routes, rules] = [config.routes.len(), config.rules.len()];
    let found = (routes, rules, config.masquerades.len(), config.pools.len());
    assert_eq!((found, config.local_services.len()), ((1, 1, 1, 1), 1), "{values}");
}

#[test]
fn every_setting_can_be_given() {
    let config = parse(
        r#"
        [agent]
        socket = "/run/a.sock"
        state = "/var/lib/a"
        pins = "/sys/fs/bpf/a"
        [log]
        level = "debug,netpath_agent::netlink=trace"
        format = "json"
        [datapath]
        attach = "netlink"
        reconcile_seconds = 5
        [capacity]
        endpoints = 1
        routes = 2
        flows = 3
        [kubernetes]
        enabled = true
        kubeconfig = "/etc/netpath/kubeconfig"
        server = "https://10.0.1.2:6443"
        node = "a"
        [announce]
        probe = false
        timeout_ms = 200
        on_conflict = "next"
        announcements = 0
        gateway_check = true
        [ipam]
        cooldown_seconds = 0
        fixed_ttl_seconds = 3600
        [[pool]]
        name = "v4"
        subnet = "10.0.1.0/24"
        ranges = ["10.0.1.10-10.0.1.99", "10.0.1.128/25"]
        exclude = ["10.0.1.20", "10.0.1.250-10.0.1.254"]
        reserve = ["10.0.1.5"]
        gateway = "10.0.1.1"
        default = false
        [[pool]]
        name = "rest"
        subnet = "10.0.1.0/24"
        ranges = ["10.0.1.100-10.0.1.127"]
        [[parent]]
        name = "eth0"
        switching = "driver"
        xdp = "native"
        [[parent]]
        name = "bond0.7"
        vlan = { on = "bond0", id = 7 }
        xdp = "auto"
        [[parent]]
        name = "blue"
        mac = "02:00:00:00:00:0A"
        [[parent]]
        name = "red"
        pci = "0000:00:04.0"
        [[route]]
        table = 100
        prefix = "0.0.0.0/0"
        path = "router"
        via = "10.0.0.1"
        [[route]]
        table = 100
        prefix = "::/0"
        path = "router"
        via = ["fd00::1", "fd00::2"]
        [[rule]]
        from = "10.0.2.0/24"
        table = 100
        [[rule]]
        to = "fd00:9::/64"
        table = 100
        [[rule]]
        mark = 16
        table = "main"
        [[masquerade]]
        table = 100
        vpc = ["10.0.0.0/8", "fd00::/8"]
        [[route]]
        table = "main"
        prefix = "fd00:96::/112"
        path = "kernel"
        "#,
    )
    .expect("valid");
    assert_eq!(config.parents[0].switching, Switching::Driver);
    assert_eq!(config.parents[1].xdp, Xdp::Auto);
    let on = "bond0".parse().expect("name");
    assert_eq!(config.parents[1].identity(), Identity::Vlan(&Vlan { on, id: 7 }));
    let mac = Mac::new([2, 0, 0, 0, 0, 10]);
    assert_eq!(config.parents[2].identity(), Identity::Mac(mac));
    let pci = "0000:00:04.0".parse().expect("place");
    assert_eq!(config.parents[3].identity(), Identity::Pci(pci));
    assert_eq!(config.routes[0].table, crate::route::Table(100));
    assert_eq!(config.routes[1].via.len(), 2);
    assert_eq!(config.routes[2].path, netpath_common::Path::Kernel);
    assert_eq!((config.rules.len(), config.rules[2].mark), (3, Some(16)));
    assert_eq!(config.masquerades[0].vpc.len(), 2);
    assert_eq!((config.pools[0].ranges.len(), config.pools[0].default), (2, false));
    assert!(config.pools[1].default, "where nothing is said");
}

/// The text behind a valid parent is refused, by an error that contains something.
fn refuses(text: &str, expected: &str) {
    let error = parse(&format!("{PARENT}{text}")).expect_err(text);
    assert!(error.contains(expected), "{text}\n{error}\nshould contain\n{expected}");
    assert!(!error.contains('\n'), "{error:?} has more than one line");
    assert!(error.starts_with("netpath.toml:"), "{error}");
}

#[test]
fn bad_files_are_told_what_is_wrong_and_where() {
    let route = |body: &str| format!("[[route]]\n{body}");
    let other = |body: &str| format!("[[parent]]\nname = \"a\"\n{body}");
    for (text, expected) in [
        ("[agent]\nsockt = \"/a\"".to_owned(), "netpath.toml:4:1: unknown field `sockt`, expected"),
        ("[aegnt]".to_owned(), "netpath.toml:3:2: unknown field `aegnt`"),
        ("[capacity]\nendpoints = \"many\"".to_owned(), "netpath.toml:4:13: invalid type: string"),
        ("[capacity]\nendpoints = -1".to_owned(), "netpath.toml:4:13: invalid value"),
        ("[capacity]\nendpoints = 0".to_owned(), "capacity.endpoints: 0 is too small"),
        ("[announce]\ntimeout_ms = 0".to_owned(), "announce.timeout_ms: 0 is too small"),
        ("[capacity]\nroutes = 0".to_owned(), "capacity.routes: 0 is too small"),
        ("[capacity]\nflows = 0".to_owned(), "capacity.flows: 0 is too small"),
        ("[datapath]\nreconcile_seconds = 0".to_owned(), "datapath.reconcile_seconds: 0"),
        (
            "[datapath]\nattach = \"xdp\"".to_owned(),
            "unknown variant `xdp`, expected one of `auto`",
        ),
        ("[agent]\nsocket = \"run/a\"".to_owned(), "agent.socket: \"run/a\" is relative"),
        ("[agent]\nstate = \"a\"".to_owned(), "agent.state: \"a\" is relative"),
        ("[agent]\npins = \"a\"".to_owned(), "agent.pins: \"a\" is relative"),
        (format!("[agent]\nsocket = \"/{}\"", "a".repeat(107)), "agent.socket: 108 bytes"),
        ("[log]\nlevel = \"no=such=level\"".to_owned(), "log.level: \"no=such=level\" is no log"),
        ("[log]\nformat = \"xml\"".to_owned(), "unknown variant `xml`, expected `text` or `json`"),
        ("[[parent]]\nname = \"eth0\"".to_owned(), "parent[1].name: eth0 is already parent[0]"),
        ("[[parent]]\nname = \"a/b\"".to_owned(), "interface name \"a/b\""),
        ("[[parent]]\nname = \"sixteen-letters-\"".to_owned(), "interface name"),
        ("[[parent]]".to_owned(), "missing field `name`"),
        ("[[parent]]\nname = \"a\"\nswitching = \"off\"".to_owned(), "unknown variant `off`"),
        ("[[parent]]\nname = \"a\"\nxdp = \"on\"".to_owned(), "unknown variant `on`"),
        (other("mac = \"02:00\""), "\"02:00\": expected an Ethernet address, six bytes such as"),
        (other("mac = \"01:00:5e:00:00:01\""), "parent[1].mac: 01:00:5e:00:00:01 is no device's"),
        (other("pci = \"4.0\""), "\"4.0\" is no PCI address: expected domain, bus, device"),
        (
            other("mac = \"02:00:00:00:00:01\"\npci = \"0000:00:04.0\""),
            "parent[1].pci: mac says already which device it is",
        ),
        (
            other(
                "mac = \"02:00:00:00:00:01\"\n[[parent]]\nname = \"b\"\nmac = \"02:00:00:00:00:01\"",
            ),
            "parent[2].mac: parent[1] is the same device",
        ),
        (other("vlan = 7"), "invalid type: integer `7`"),
        (other("vlan = { id = 7 }"), "missing field `on`"),
        (other("vlan = { on = \"eth0\", id = 4095 }"), "parent[1].vlan.id: 4095 is no VLAN"),
        (
            other("vlan = { on = \"eth0\", id = 7 }\nattachment = \"exclusive\""),
            "parent[1].vlan: a VLAN that netpath makes can not be given",
        ),
        (other("vlan = { on = \"a\", id = 7 }"), "parent[1].vlan.on: a is a VLAN itself"),
        (route("path = \"drop\""), "missing field `prefix`"),
        (route("prefix = \"10.0.0.0/8\""), "missing field `path`"),
        (route("prefix = \"10.0.0.0/33\"\npath = \"drop\""), "netpath.toml:4:10: invalid IP"),
        (route("prefix = \"10.0.0.1/8\"\npath = \"drop\""), "route[0].prefix: 10.0.0.1/8 has bits"),
        (route("prefix = \"fd00::1/64\"\npath = \"drop\""), "write fd00::/64"),
        (route("prefix = \"::ffff:10.0.0.0/104\"\npath = \"drop\""), "write it as IPv4"),
        (route("prefix = \"224.0.0.0/4\"\npath = \"drop\""), "is multicast"),
        (route("prefix = \"10.0.0.0/8\"\npath = \"nat\""), "\"nat\" is no path; expected one of"),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\nvia = \"10.0.0.1\""),
            "route[0].via: path drop takes no next hop",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"router\"\nvia = \"fd00::1\""),
            "route[0].via: fd00::1 is not of the family",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"router\"\nvia = \"0.0.0.0\""),
            "route[0].via: 0.0.0.0 is no unicast address",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"router\"\nvia = [\"10.0.0.1\", \"10.0.0.1\"]"),
            "route[0].via: 10.0.0.1 is given twice",
        ),
        (
            [
                other("subnets = [\"10.9.0.0/24\"]"),
                route("prefix = \"10.0.0.0/8\"\npath = \"router\"\nvia = [\"10.0.0.1\", \"10.9.0.1\"]"),
            ]
            .join("\n"),
            "route[0].via: 10.0.0.1 and 10.9.0.1 are on the networks of different parents",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"router\"\nvia = \"gate\""),
            "expected an address such as \"10.0.1.254\", or a list of them",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\ntable = 110"),
            "route[0].table: 110 is a table of the kernel's, of a parent's or of netpath's own",
        ),
    ] {
        refuses(&text, expected);
    }
}

#[test]
fn bad_masquerading_is_told_what_is_wrong_and_where() {
    for (body, expected) in [
        ("table = 100\nvpc = []", "masquerade[0].vpc: no prefix, so nothing is outside"),
        (
            "table = 100\nvpc = [\"10.0.0.1/8\"]",
            "masquerade[0].vpc: 10.0.0.1/8 has bits set behind its length; write 10.0.0.0/8",
        ),
        (
            "table = 100\nvpc = [\"::ffff:10.0.0.0/104\"]",
            "masquerade[0].vpc: ::ffff:10.0.0.0/104 is IPv4 in IPv6's mapped form",
        ),
        ("table = 100\nvpc = [\"ten\"]", "invalid IP address syntax"),
        ("table = 100", "missing field `vpc`"),
        ("table = 100\nvpc = []\nvia = 1", "unknown field `via`"),
        (
            "table = \"main\"\nvpc = [\"10.0.0.0/8\"]",
            "masquerade[0].table: endpoints of every table come to the main one",
        ),
        ("table = 110\nvpc = [\"::/0\"]", "masquerade[0].table: 110 is a table of"),
        (
            "table = 7\nvpc = [\"::/0\"]\n[[masquerade]]\ntable = 7\nvpc = [\"::/0\"]",
            "masquerade[1].table: table 7 is that of masquerade[0] already; remove one",
        ),
    ] {
        let error = parse(&format!("{PARENT}[[masquerade]]\n{body}\n")).expect_err(body);
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn bad_rules_and_routes_are_told_what_is_wrong_and_where() {
    let route = |body: &str| format!("[[route]]\n{body}");
    for (text, expected) in [
        ("[[rule]]\ntable = 100".to_owned(), "rule[0].from: a rule has from, to or mark"),
        (
            "[[rule]]\nfrom = \"10.0.0.1/8\"\ntable = 100".to_owned(),
            "rule[0].from: 10.0.0.1/8 has bits set behind its length; write 10.0.0.0/8",
        ),
        ("[[rule]]\nmark = 0\ntable = 100".to_owned(), "rule[0].mark: 0 is no mark"),
        ("[[rule]]\nmark = 7\ntable = 255".to_owned(), "rule[0].table: 255 is a table of"),
        ("[[rule]]\nto = \"::/0\"\ntable = \"main\"".to_owned(), "rule[0].table: the main table"),
        (
            "[[rule]]\nto = \"10.0.0.0/8\"\ntable = 7\n[[rule]]\nto = \"10.1.0.0/16\"\ntable = 8"
                .to_owned(),
            "rule[1].to: 10.1.0.0/16 and 10.0.0.0/8 of rule[0] overlap",
        ),
        (
            "[[rule]]\nmark = 7\ntable = 7\n[[rule]]\nmark = 7\ntable = 8".to_owned(),
            "rule[1].mark: 7 is the mark of rule[0] already",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\ntable = 0"),
            "write main or a number from 1",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\ntable = \"local\""),
            "write main or a number from 1",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\ntable = true"),
            "expected \"main\" or a table number",
        ),
        (
            route("prefix = \"10.0.0.0/8\"\npath = \"drop\"\n").repeat(2),
            "route[1].prefix: 10.0.0.0/8 in table main is already route[0]",
        ),
    ] {
        refuses(&text, expected);
    }
}

/// A pool's keys behind its name, and what the error must contain.
#[test]
fn bad_pools_are_told_what_is_wrong_and_where() {
    let v4 = "subnet = \"10.0.1.0/24\"\n";
    for (keys, expected) in [
        (String::new(), "missing field `subnet`"),
        ("subnet = \"10.0.1.0/33\"".to_owned(), "netpath.toml:5:10: invalid IP"),
        ("subnet = \"10.0.1.1/24\"".to_owned(), "pool[0].subnet: 10.0.1.1/24 has bits set"),
        ("subnet = \"127.0.0.0/8\"".to_owned(), "pool[0].subnet: 127.0.0.0/8 holds no addresses"),
        ("subnet = \"224.0.0.0/8\"".to_owned(), "holds no addresses for pods"),
        ("subnet = \"0.0.0.0/0\"".to_owned(), "holds no addresses for pods"),
        ("subnet = \"fe80::/64\"".to_owned(), "holds no addresses for pods"),
        ("subnet = \"::ffff:10.0.0.0/104\"".to_owned(), "holds no addresses for pods"),
        (format!("{v4}ranges = [\"a\"]"), "netpath.toml:6:10: \"a\" is no range of addresses"),
        (format!("{v4}ranges = [\"10.0.1.9-10.0.1.2\"]"), "ends before it begins"),
        (format!("{v4}ranges = [\"10.0.1.9-fd00::1\"]"), "ends before it begins"),
        (
            format!("{v4}ranges = [\"10.0.1.9/25\"]"),
            "bits set behind its length; write 10.0.1.0/25",
        ),
        (
            format!("{v4}ranges = [\"10.0.1.9\", \"10.0.1.250-10.0.2.3\"]"),
            "pool[0].ranges[1]: 10.0.1.250-10.0.2.3 is not inside 10.0.1.0/24",
        ),
        (format!("{v4}exclude = [\"fd00::1\"]"), "pool[0].exclude[0]: fd00::1 is not inside"),
        (format!("{v4}reserve = [\"10.0.0.1\"]"), "pool[0].reserve[0]: 10.0.0.1 is not inside"),
        (format!("{v4}gateway = \"10.0.2.1\""), "pool[0].gateway: 10.0.2.1 can not be the router"),
        (format!("{v4}gateway = \"10.0.1.255\""), "pool[0].gateway: 10.0.1.255 can not be"),
        (format!("{v4}gateway = \"fe80::1\""), "pool[0].gateway: fe80::1 can not be the router"),
        (format!("{v4}exclude = [\"10.0.1.0/24\"]"), "pool[0].ranges: no address is left"),
        (format!("{v4}name = \"b\""), "duplicate key"),
        (format!("{v4}size = 3"), "unknown field `size`, expected one of `name`"),
        (
            format!("{v4}[[pool]]\nname = \"a\"\nsubnet = \"fd00::/64\""),
            "pool[1].name: \"a\" is already pool[0]",
        ),
        (
            format!("{v4}[[pool]]\nname = \"b\"\nsubnet = \"10.0.0.0/16\""),
            "pool[1].ranges: 10.0.1.1 is in pool[0] (a) too",
        ),
        (
            format!("{v4}[[pool]]\nname = \"b/c\"\nsubnet = \"fd00::/64\""),
            "pool[1].name: \"b/c\" is no pool name",
        ),
    ] {
        let text = format!("{PARENT}[[pool]]\nname = \"a\"\n{keys}");
        let error = parse(&text).expect_err(&keys);
        assert!(error.contains(expected), "{keys}\n{error}\nshould contain\n{expected}");
        assert!(!error.contains('\n'), "{error:?} has more than one line");
    }
}

#[test]
fn a_file_without_parents_is_refused() {
    let error = parse("").expect_err("no parent");
    assert!(error.contains("parent: no parent is configured"), "{error}");
}

#[test]
fn one_prefix_may_be_in_two_tables() {
    let routes = "[[route]]\nprefix = \"::/0\"\npath = \"drop\"\n\
                  [[route]]\ntable = 7\nprefix = \"::/0\"\npath = \"host\"\n";
    assert!(parse(&format!("{PARENT}{routes}")).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/netpath.toml")).expect_err("missing");
    assert!(error.to_string().starts_with("/nonexistent/netpath.toml: can not be read"));
}
