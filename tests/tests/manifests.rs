//! What `deploy/` hands to the agent is what the agent takes, and `kubectl` takes all of it. That the
//! manifests are as Kubernetes' schemas say, and what the chart makes, is tested where they are made.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use netpath_agent::{
    config::{Config, Mode},
    kube::types,
};
use netpath_tests::apiserver::{ApiServer, Options};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn manifest(name: &str) -> String {
    fs::read_to_string(deploy().join("kustomize/base").join(name)).expect(name)
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

#[test]
fn the_cluster_learns_of_every_kind() {
    for definition in types::all() {
        let file = format!("crds/{}.yaml", definition.metadata.name.expect("a name"));
        let text = manifest(&file);
        let committed = fs::read_to_string(deploy().join(&file)).expect("the definition");
        assert!(text.ends_with(&committed), "{file}");
        assert!(manifest("kustomization.yaml").contains(&file), "{file}");
    }
}

#[test]
fn kubectl_takes_all_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let api = ApiServer::start(listener, Options::default()).expect("an API server");
    let folder = tempfile::tempdir().expect("folder");
    let kubeconfig = folder.path().join("kubeconfig");
    api.kubeconfig(&kubeconfig).expect("a kubeconfig");
    let version = api.resource_version();
    let taken = |flag: &str, what: &str| -> BTreeSet<String> {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&kubeconfig).arg("--cache-dir").arg(folder.path());
        // Schemas are what kubernetes-validate compares with: the server for tests has none.
        kubectl.args(["apply", "--dry-run=client", "--validate=false", flag]);
        let output = kubectl.arg(deploy().join(what)).output().expect("kubectl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}{wrong}");
        said.lines().map(str::to_owned).collect()
    };
    let whole = taken("-f", "netpath.yaml");
    let text = fs::read_to_string(deploy().join("netpath.yaml")).expect("netpath.yaml");
    let objects = text.lines().filter(|line| line.starts_with("kind: ")).count();
    assert_eq!(whole.len(), objects, "{whole:?}");
    assert!(whole.iter().all(|line| line.ends_with(" created (dry run)")), "{whole:?}");
    assert_eq!(taken("-k", "kustomize/base"), whole);
    assert_eq!(api.resource_version(), version, "a dry run writes nothing");
}
