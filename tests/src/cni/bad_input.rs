//! Inputs that a plugin must refuse, with the specification's code and a message that names what is
//! wrong.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use serde_json::{Value, json};

use super::{Ground, Invocation};

/// An input that must be refused.
#[derive(Clone, Debug)]
pub struct BadInput {
    /// What is wrong with it.
    pub name: String,
    /// The start.
    pub invocation: Invocation,
    /// The code that it must be refused with.
    pub code: u64,
    /// What the message must contain.
    pub about: &'static str,
}

/// The version of all inputs that do not say otherwise.
const VERSION: &str = "1.1.0";
/// The container of all inputs. After them it must not have become known to anybody.
const CONTAINER: &str = "bad-input";

/// All of them.
#[must_use]
pub fn bad_inputs(ground: &Ground) -> Vec<BadInput> {
    [
        environment(ground),
        arguments(ground),
        bytes(ground),
        versions(ground),
        keys(ground),
        verbs(ground),
    ]
    .concat()
}

fn add(ground: &Ground) -> Invocation {
    ground.call("ADD", CONTAINER, &ground.config(VERSION))
}

fn environment(ground: &Ground) -> Vec<BadInput> {
    let own = "/proc/self/ns/net";
    let long = "a".repeat(256);
    let huge = format!("/{}", "n".repeat(5000));
    let rows: [(&str, &'static str, Option<OsString>, u64); 28] = [
        ("no verb", "CNI_COMMAND", None, 4),
        ("an empty verb", "CNI_COMMAND", Some("".into()), 4),
        ("an unknown verb", "CNI_COMMAND", Some("UPDATE".into()), 4),
        ("a verb in small letters", "CNI_COMMAND", Some("add".into()), 4),
        ("a verb that is not UTF-8", "CNI_COMMAND", Some(OsString::from_vec(vec![0xff])), 4),
        ("no container", "CNI_CONTAINERID", None, 4),
        ("an empty container", "CNI_CONTAINERID", Some("".into()), 4),
        ("a container with a slash", "CNI_CONTAINERID", Some("a/../b".into()), 4),
        ("a container with a newline", "CNI_CONTAINERID", Some("a\nb".into()), 4),
        ("a container that starts with a dot", "CNI_CONTAINERID", Some("..".into()), 4),
        ("a container with a letter of no ASCII", "CNI_CONTAINERID", Some("ä".into()), 4),
        ("a container of 256 letters", "CNI_CONTAINERID", Some(long.into()), 4),
        (
            "a container that is not UTF-8",
            "CNI_CONTAINERID",
            Some(OsString::from_vec(vec![b'a', 0x80])),
            4,
        ),
        ("no interface", "CNI_IFNAME", None, 4),
        ("an interface of 16 letters", "CNI_IFNAME", Some("abcdefghijklmnop".into()), 4),
        ("an interface with a slash", "CNI_IFNAME", Some("a/b".into()), 4),
        ("an interface with a colon", "CNI_IFNAME", Some("eth0:1".into()), 4),
        ("an interface with a blank", "CNI_IFNAME", Some("eth 0".into()), 4),
        ("an interface called ..", "CNI_IFNAME", Some("..".into()), 4),
        ("no namespace", "CNI_NETNS", None, 4),
        ("a relative namespace", "CNI_NETNS", Some("run/netns/a".into()), 4),
        ("a namespace that is a folder", "CNI_NETNS", Some("/".into()), 4),
        ("a namespace that is a device", "CNI_NETNS", Some("/dev/null".into()), 4),
        ("a namespace below a device", "CNI_NETNS", Some("/dev/null/net".into()), 4),
        ("a namespace of processes", "CNI_NETNS", Some("/proc/self/ns/pid".into()), 4),
        ("the node's own namespace", "CNI_NETNS", Some(own.into()), 4),
        ("a namespace with an endless name", "CNI_NETNS", Some(huge.into()), 4),
        (
            "a namespace that is not there",
            "CNI_NETNS",
            Some("/run/netns/nobody-has-this".into()),
            3,
        ),
    ];
    rows.map(|(name, variable, value, code)| BadInput {
        name: name.to_owned(),
        invocation: match value {
            Some(value) => add(ground).with(variable, value),
            None => add(ground).without(variable),
        },
        code,
        about: variable,
    })
    .into()
}

fn arguments(ground: &Ground) -> Vec<BadInput> {
    [
        "garbage",
        ";;;",
        "=",
        "A=1",
        "IgnoreUnknown=perhaps",
        "IgnoreUnknown=1;IgnoreUnknown=1",
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=a/b;K8S_POD_NAME=c",
        "IgnoreUnknown=1;K8S_POD_NAME=web 0",
        "IgnoreUnknown=1;K8S_POD_UID=\n",
        "IP=300.0.0.1",
        "IP=",
    ]
    .map(|text| BadInput {
        name: format!("arguments {text:?}"),
        invocation: add(ground).with("CNI_ARGS", text),
        code: 4,
        about: "CNI_ARGS",
    })
    .into()
}

fn bytes(ground: &Ground) -> Vec<BadInput> {
    let good = ground.config(VERSION).to_string();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let rows: [(&str, Vec<u8>, &str); 15] = [
        ("nothing", Vec::new(), "decoded"),
        ("a blank", b" ".to_vec(), "decoded"),
        ("half an object", b"{\"cniVersion\": \"1.1".to_vec(), "decoded"),
        ("something behind the object", format!("{good}{good}").into_bytes(), "decoded"),
        ("a list", b"[]".to_vec(), "decoded"),
        ("a number", b"1".to_vec(), "decoded"),
        ("null", b"null".to_vec(), "decoded"),
        ("a nesting that fills the stack", deep.clone().into_bytes(), "decoded"),
        ("a deep key", with(&good, &format!("\"prevResult\": {{\"x\": {deep}}}")), "decoded"),
        ("bytes that are not UTF-8", vec![0xfe, 0xff], "decoded"),
        ("a string that is not UTF-8", b"{\"cniVersion\": \"\xff\"}".to_vec(), "decoded"),
        ("a NUL", with(&good, "\"parent\": \"a\0b\""), "decoded"),
        ("a number beyond all bounds", with(&good, "\"mtu\": 1e999999"), "decoded"),
        ("half a surrogate", with(&good, "\"parent\": \"\\ud800\""), "decoded"),
        (
            "more than a mebibyte",
            with(&good, &format!("\"x\": \"{}\"", "x".repeat(1 << 20))),
            "bytes",
        ),
    ];
    rows.map(|(name, input, about)| BadInput {
        name: name.to_owned(),
        invocation: add(ground).input(input),
        code: 6,
        about,
    })
    .into()
}

/// An object's text with one more member.
fn with(object: &str, member: &str) -> Vec<u8> {
    format!("{}, {member}}}", &object[..object.len() - 1]).into_bytes()
}

fn versions(ground: &Ground) -> Vec<BadInput> {
    let rows: [(&str, Value, u64); 9] = [
        ("no version", Value::Null, 1),
        ("version 0.1.0", "0.1.0".into(), 1),
        ("version 0.2.0", "0.2.0".into(), 1),
        ("version 2.0.0", "2.0.0".into(), 1),
        ("version 1.1", "1.1".into(), 1),
        ("an empty version", "".into(), 1),
        ("a version of words", "newest".into(), 1),
        ("a version that is a number", 1.1.into(), 6),
        ("a version that is a list", json!(["1.1.0"]), 6),
    ];
    rows.map(|(name, version, code)| {
        let mut config = ground.config(VERSION);
        config["cniVersion"] = version;
        let invocation = ground.call("ADD", CONTAINER, &config);
        BadInput { name: name.to_owned(), invocation, code, about: "" }
    })
    .into()
}

fn keys(ground: &Ground) -> Vec<BadInput> {
    let rows = [
        ("name", Value::Null, 7),
        ("name", 7.into(), 7),
        ("name", "".into(), 7),
        ("name", "a/b".into(), 7),
        ("name", "a\u{0}b".into(), 7),
        ("type", Value::Null, 7),
        ("type", "../netpath-cni".into(), 7),
        ("socket", "agent.sock".into(), 7),
        ("socket", format!("/{}", "s".repeat(107)).into(), 7),
        ("socket", true.into(), 7),
        ("parent", "eth0/1".into(), 7),
        ("parent", json!({}), 7),
        ("pools", "main".into(), 7),
        ("pools", json!([1]), 7),
        ("pools", json!([""]), 7),
        ("table", (-1).into(), 7),
        ("table", 4_294_967_296_u64.into(), 7),
        ("table", "local".into(), 7),
        ("mtu", 67.into(), 7),
        ("mtu", 65_536.into(), 7),
        ("mtu", (-1500).into(), 7),
        ("mtu", 1500.5.into(), 7),
        ("mtu", "1500".into(), 7),
        ("mtu", json!(u64::MAX), 7),
        ("defaultRoute", "yes".into(), 7),
        ("fixedOwner", 1.into(), 7),
        ("routes", json!({}), 7),
        ("routes", json!([{}]), 7),
        ("routes", json!([{ "dst": "10.0.0.1/8" }]), 7),
        ("routes", json!([{ "dst": "10.0.0.0/33" }]), 7),
        ("routes", json!([{ "dst": "10.0.0.0/8", "gw": "fd00::1" }]), 7),
        ("ipam", "host-local".into(), 7),
        ("ipam", json!({ "type": 1 }), 7),
        ("ipam", json!({ "type": "../../bin/sh" }), 7),
        ("ipam", json!({ "type": "nobody-has-this" }), 7),
        ("runtimeConfig", json!([]), 7),
        ("runtimeConfig", json!({ "ips": "10.0.0.1" }), 7),
        ("runtimeConfig", json!({ "ips": ["10.0.0"] }), 7),
        ("runtimeConfig", json!({ "bandwidth": { "ingressRate": -1 } }), 7),
        ("runtimeConfig", json!({ "mac": "02:00:00:00:00:01" }), 2),
        ("master", "eth0".into(), 2),
        ("mode", "l3".into(), 2),
        ("ipMasq", true.into(), 2),
        ("dns", "10.0.0.1".into(), 7),
        ("prevResult", "none".into(), 7),
        ("prevResult", json!({ "ips": [{ "address": "10.0.0.300/24" }] }), 7),
        ("prevResult", json!({ "ips": [{ "address": "10.0.0.3/24", "interface": -1 }] }), 7),
        ("prevResult", json!({ "interfaces": [{ "mac": 1 }] }), 7),
    ];
    let mut inputs: Vec<_> = rows
        .into_iter()
        .map(|(key, value, code)| {
            let mut config = ground.config(VERSION);
            let name = format!("key {key} = {value}");
            config[key] = value;
            let invocation = ground.call("ADD", CONTAINER, &config);
            let name = name.chars().take(60).collect();
            BadInput { name, invocation, code, about: key }
        })
        .collect();
    let twice = with(&ground.config(VERSION).to_string(), "\"mtu\": 1400, \"mtu\": 1500");
    inputs.push(BadInput {
        name: "a key that is given twice".to_owned(),
        invocation: add(ground).input(twice),
        code: 7,
        about: "mtu",
    });
    let mut owner = ground.config(VERSION);
    owner["fixedOwner"] = true.into();
    inputs.push(BadInput {
        name: "an owner without a name".to_owned(),
        invocation: ground.call("ADD", CONTAINER, &owner),
        code: 4,
        about: "CNI_ARGS",
    });
    inputs
}

fn verbs(ground: &Ground) -> Vec<BadInput> {
    let call = |verb: &str, version: &str, key: &str, value: Value| {
        let mut config = ground.config(version);
        config[key] = value;
        ground.call(verb, CONTAINER, &config)
    };
    let valid = "cni.dev/valid-attachments";
    let interface = json!([{ "name": "eth0", "sandbox": "/run/netns/a" }]);
    let elsewhere = json!({ "interfaces": [{ "name": "eth0" }] });
    let rows: [(&str, Invocation, u64, &'static str); 15] = [
        (
            "CHECK in 0.3.1",
            call("CHECK", "0.3.1", "prevResult", json!({ "interfaces": interface })),
            1,
            "CHECK",
        ),
        ("GC in 1.0.0", call("GC", "1.0.0", valid, json!([])), 1, "GC"),
        ("STATUS in 0.4.0", call("STATUS", "0.4.0", "x", Value::Null), 1, "STATUS"),
        ("VERSION of garbage", add(ground).with("CNI_COMMAND", "VERSION").input("{"), 6, "decoded"),
        ("CHECK without a result", call("CHECK", VERSION, "x", Value::Null), 7, "prevResult"),
        ("CHECK of nothing", call("CHECK", VERSION, "prevResult", json!({})), 7, "prevResult"),
        (
            "CHECK of the node's interface",
            call("CHECK", VERSION, "prevResult", elsewhere),
            7,
            "prevResult",
        ),
        (
            "CHECK without a namespace",
            call("CHECK", VERSION, "x", Value::Null).without("CNI_NETNS"),
            4,
            "CNI_NETNS",
        ),
        (
            "DEL without a container",
            call("DEL", VERSION, "x", Value::Null).without("CNI_CONTAINERID"),
            4,
            "CNI_CONTAINERID",
        ),
        (
            "DEL in a relative namespace",
            call("DEL", VERSION, "x", Value::Null).with("CNI_NETNS", "ns"),
            4,
            "CNI_NETNS",
        ),
        ("DEL without a name", call("DEL", VERSION, "name", Value::Null), 7, "name"),
        ("GC without a list", call("GC", VERSION, "x", Value::Null), 7, valid),
        ("GC with a list of null", call("GC", VERSION, valid, Value::Null), 7, valid),
        (
            "GC with half an attachment",
            call("GC", VERSION, valid, json!([{ "containerID": "a" }])),
            7,
            valid,
        ),
        (
            "GC with a bad container",
            call("GC", VERSION, valid, json!([{ "containerID": "/", "ifname": "a" }])),
            7,
            valid,
        ),
    ];
    rows.map(|(name, invocation, code, about)| BadInput {
        name: name.to_owned(),
        invocation,
        code,
        about,
    })
    .into()
}
