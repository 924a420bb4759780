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
    let (head, route) = text.split_once("# [[route]]\n").expect("a route");
    let values: Vec<_> = route
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = "))
        .collect();
    let values = values.join("\n");
    let config = parse(&format!("{head}[[route]]\n{values}")).expect("valid");
    assert_eq!(config.routes.len(), 1, "{values}");
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
        [announce]
        probe = false
        timeout_ms = 200
        on_conflict = "next"
        announcements = 0
        gateway_check = true
        [[parent]]
        name = "eth0"
        switching = "driver"
        xdp = "native"
        [[parent]]
        name = "bond0.7"
        xdp = "auto"
        [[route]]
        table = 100
        prefix = "0.0.0.0/0"
        path = "router"
        via = "10.0.0.1"
        [[route]]
        table = "main"
        prefix = "fd00:96::/112"
        path = "kernel"
        "#,
    )
    .expect("valid");
    assert_eq!(config.parents[0].switching, Switching::Driver);
    assert_eq!(config.parents[1].xdp, Xdp::Auto);
    assert_eq!(config.routes[0].table, crate::route::Table(100));
    assert_eq!(config.routes[1].path, netpath_common::Path::Kernel);
}

/// The text behind a valid parent, and what the error must contain.
#[test]
fn bad_files_are_told_what_is_wrong_and_where() {
    let route = |body: &str| format!("[[route]]\n{body}");
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
        let error = parse(&format!("{PARENT}{text}")).expect_err(&text);
        assert!(error.contains(expected), "{text}\n{error}\nshould contain\n{expected}");
        assert!(!error.contains('\n'), "{error:?} has more than one line");
        assert!(error.starts_with("netpath.toml:"), "{error}");
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
