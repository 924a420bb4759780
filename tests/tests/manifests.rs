//! What `deploy/` hands to the agent is what the agent takes. That the manifests are what Kubernetes
//! takes, and what the chart makes, is tested where they are made.

use std::{fs, path::Path};

use netpath_agent::config::{Config, Mode};

fn manifest(name: &str) -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base");
    fs::read_to_string(base.join(name)).expect(name)
}

/// The text below a key such as `netpath.toml: |`.
fn block(manifest: &str, key: &str) -> String {
    let lines = manifest.lines().skip_while(|line| !line.ends_with(&format!("{key}: |"))).skip(1);
    let lines = lines.map_while(|line| line.strip_prefix("    ").or(line.is_empty().then_some("")));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_agent_takes_its_configuration() {
    let text = block(&manifest("configmap.yaml"), "netpath.toml");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("netpath.toml");
    fs::write(&file, text).expect("write");
    let config = Config::load(&file).expect("a good configuration");
    assert!(!config.agent.mount, "the container's own mount would end with it");
    assert_eq!(config.services.mode, Mode::KubeProxy);
}

#[test]
fn what_is_shared_with_the_host_is_where_the_agent_keeps_it() {
    let agent = netpath_agent::config::Agent::default();
    let manifest = manifest("daemonset.yaml");
    let folder = |path: &Path| path.parent().expect("a folder").display().to_string();
    for path in [
        folder(&agent.socket),
        agent.state.display().to_string(),
        folder(&agent.pins),
        "/run/netns".to_owned(),
    ] {
        for line in [format!("mountPath: {path}\n"), format!("path: {path}\n")] {
            assert!(manifest.contains(&line), "{line}");
        }
    }
}
