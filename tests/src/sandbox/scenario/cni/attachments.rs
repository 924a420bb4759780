//! ADD, DEL and GC: what comes of them, in every version and order.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, ensure};
use netpath_agent::cni::Version;
use serde_json::{Value, json};

use crate::sandbox::{
    host::{self, Host, interfaces},
    together::together,
};

pub(super) fn versions(host: &mut Host) -> Result<()> {
    let supported = json!(Version::ALL.map(Version::text));
    for version in Version::ALL {
        let text = version.text();
        let mut config = host.ground.config(text);
        let pod = host.sandbox("versions")?;
        let call = |verb: &str, config: &Value| host.call(verb, "versions", &pod.path(), config);
        let tell = |problem: &str, answer: &Value| anyhow!("{text}: {problem}: {answer}");

        let told = call("VERSION", &config)?.answer()?;
        ensure!(told["supportedVersions"] == supported, tell("VERSION", &told));
        let answer = call("ADD", &config).and_then(|outcome| outcome.answer())?;
        let interface = &answer["interfaces"][0];
        ensure!(answer["cniVersion"] == text, tell("version", &answer));
        ensure!(interface["name"] == "eth0", tell("interface", &answer));
        ensure!(interface["sandbox"] == json!(pod.path()), tell("sandbox", &answer));
        let mtu = if version < Version::V1_1_0 { Value::Null } else { 1500.into() };
        ensure!(interface["mtu"] == mtu, tell("MTU", &answer));
        for (at, (family, length)) in [("4", 24), ("6", 64)].into_iter().enumerate() {
            let ip = &answer["ips"][at];
            let family = if version < Version::V1_0_0 { family.into() } else { Value::Null };
            ensure!(ip["version"] == family && ip["interface"] == 0, tell("address", &answer));
            let address = ip["address"].as_str().unwrap_or_default();
            ensure!(address.ends_with(&format!("/{length}")), tell("address", &answer));
        }
        ensure!(interfaces(&pod)? == ["lo", "eth0"], "{text}: {:?}", interfaces(&pod)?);

        config["prevResult"] = answer;
        if version >= Version::V0_4_0 {
            call("CHECK", &config)?.silence().with_context(|| text)?;
        }
        call("DEL", &config)?.silence().with_context(|| text)?;
        ensure!(interfaces(&pod)? == ["lo"], "{text}: {:?}", interfaces(&pod)?);
        call("DEL", &config)?.silence().with_context(|| text)?;
    }
    Ok(())
}

/// Behind another plugin, and before one.
pub(super) fn chains(host: &mut Host) -> Result<()> {
    let pod = host.sandbox("chains")?;
    let first = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{ "name": "first0", "sandbox": pod.path(), "colour": "red" }],
        "ips": [{ "address": "192.0.2.9/24", "interface": 0 }],
        "routes": [{ "dst": "192.0.2.0/24" }],
        "dns": { "domain": "example" },
    });
    let mut config = host.ground.config("1.1.0");
    config["prevResult"] = first.clone();
    let call = |verb: &str, config: &Value| host.call(verb, "chains", &pod.path(), config);
    let mut answer = call("ADD", &config)?.answer()?;
    ensure!(answer["interfaces"][0] == first["interfaces"][0], "interface lost: {answer}");
    ensure!(answer["ips"][0] == first["ips"][0], "address lost: {answer}");
    ensure!(answer["routes"][0] == first["routes"][0], "route lost: {answer}");
    ensure!(answer["dns"] == first["dns"], "DNS lost: {answer}");
    ensure!(answer["interfaces"][1]["name"] == "eth0", "no own interface: {answer}");
    ensure!(answer["ips"][1]["interface"] == 1, "address of another: {answer}");
    // The next one adds its own.
    let next = json!({ "name": "last0", "sandbox": pod.path() });
    answer["interfaces"].as_array_mut().context("interfaces")?.push(next);
    config["prevResult"] = answer;
    let checked = call("CHECK", &config)?;
    call("DEL", &config)?.silence()?;
    checked.silence().context("CHECK of a chain's result")
}

pub(super) fn two_networks(host: &mut Host) -> Result<()> {
    let pod = host.sandbox("twice")?;
    let configs = [("underlay", "eth0"), ("second", "net1")].map(|(network, interface)| {
        let mut config = host.ground.config("1.0.0");
        config["name"] = network.into();
        (config, interface)
    });
    let run = |verb: &str, config: &Value, interface: &str| {
        let call = host.ground.call(verb, "twice", config);
        host.run(&call.with("CNI_NETNS", pod.path()).with("CNI_IFNAME", interface))
    };
    let mut results = Vec::new();
    for (config, interface) in &configs {
        let answer = run("ADD", config, interface)?.answer()?;
        let routed = answer["routes"].is_array();
        ensure!(routed == (*interface == "eth0"), "default routes of {interface}: {answer}");
        let mut config = config.clone();
        config["prevResult"] = answer;
        results.push((config, *interface));
    }
    let used: BTreeSet<_> =
        results.iter().map(|(config, _)| config["prevResult"]["ips"].to_string()).collect();
    ensure!(used.len() == 2, "the same addresses twice: {used:?}");
    for (config, interface) in results.iter().rev() {
        run("CHECK", config, interface)?.silence()?;
        run("DEL", config, interface)?.silence()?;
    }
    ensure!(interfaces(&pod)? == ["lo"], "left: {:?}", interfaces(&pod)?);
    Ok(())
}

pub(super) fn repetition(host: &mut Host) -> Result<()> {
    let pod = host.sandbox("again")?;
    let first = host.add(&pod)?.answer()?;
    ensure!(host.add(&pod)?.answer()? == first, "a second ADD differs");
    let adds = together([|| host.add(&pod)?.answer(); 4])?;
    let at_once: Vec<_> = adds.into_iter().collect::<Result<_>>()?;
    ensure!(at_once.iter().all(|answer| *answer == first), "ADDs at once differ: {at_once:?}");
    let mut other = host.ground.config("1.1.0");
    other["mtu"] = 1400.into();
    host.call("ADD", pod.name(), &pod.path(), &other)?.refusal(102, "other settings")?;
    host.check(&pod, &first)?.silence()?;
    for _ in 0..3 {
        host.del(&pod)?;
    }
    ensure!(interfaces(&pod)? == ["lo"], "left: {:?}", interfaces(&pod)?);
    Ok(())
}

pub(super) fn missing(host: &mut Host) -> Result<()> {
    let config = host.ground.config("1.1.0");
    // Namespaces that go before their pods, as after a crash of the runtime.
    for (container, forget) in [("gone", false), ("forgotten", true)] {
        let pod = host.sandbox(container)?;
        let (path, answer) = (pod.path(), host.add(&pod)?.answer()?);
        let name = pod.name().to_owned();
        drop(pod);
        let mut with = config.clone();
        with["prevResult"] = answer;
        let call = host.ground.call("DEL", &name, &with).with("CNI_NETNS", path);
        let call = if forget { call.without("CNI_NETNS") } else { call };
        host.run(&call)?.silence().context(container)?;
    }
    let pod = host.sandbox("stranger")?;
    host.del(&pod).context("DEL of a container that never was")?;
    let answer = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{ "name": "eth0", "sandbox": pod.path() }],
        "ips": [],
    });
    host.check(&pod, &answer)?.refusal(3, pod.name())?;
    let path = pod.path();
    drop(pod);
    host.call("ADD", "nowhere", &path, &config)?.refusal(3, "CNI_NETNS")
}

pub(super) fn garbage(host: &mut Host) -> Result<()> {
    let names = ["kept", "left", "lost"];
    let mut pods = names.iter().map(|name| host.sandbox(name)).collect::<Result<Vec<_>>>()?;
    for pod in &pods {
        host.add(pod)?.answer()?;
    }
    let mut other = host.ground.config("1.1.0");
    other["name"] = "other".into();
    let stranger = host.sandbox("other")?;
    let answer = host.call("ADD", stranger.name(), &stranger.path(), &other)?.answer()?;
    // The namespace of the last one is gone, too.
    drop(pods.pop());

    let collect = |config: &Value| {
        let call = host.ground.call("GC", "", config).without("CNI_CONTAINERID");
        host.run(&call.without("CNI_NETNS").without("CNI_IFNAME"))
    };
    let mut config = host.ground.config("1.1.0");
    config["cni.dev/valid-attachments"] =
        json!([{ "containerID": pods[0].name(), "ifname": "eth0" }]);
    collect(&config)?.silence()?;
    ensure!(interfaces(&pods[0])?.len() == 2, "what is valid was collected");
    ensure!(interfaces(&pods[1])?.len() == 1, "what is not valid is left");
    let rows = host.agent().netpath_json(&["ipam", "show"])?;
    let held = rows["addresses"].as_array().map_or(0, Vec::len);
    ensure!(held == 4, "two pods of two families have {held} addresses: {rows}");
    config["cni.dev/valid-attachments"] = json!([]);
    collect(&config)?.silence()?;
    ensure!(interfaces(&stranger)?.len() == 2, "another network's pod was collected");
    ensure!(host::addresses(&answer)?.len() == 2, "{answer}");
    host.call("DEL", stranger.name(), &stranger.path(), &other)?.silence()
}
