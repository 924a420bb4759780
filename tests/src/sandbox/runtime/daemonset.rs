//! The DaemonSet's pod as a kubelet would have it run: its spec, turned into calls of `ctr`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What containerd lets a container do of which nothing is said.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The manifest, as far as a kubelet needs it.
#[derive(Debug)]
pub struct Manifest {
    pod: Value,
    files: BTreeMap<String, String>,
}

/// A container of the pod.
#[derive(Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What `ctr run` takes before the image's name, the image, and behind the container's name.
    pub options: Vec<String>,
    /// The image.
    pub image: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// What says whether it is ready, if anything does.
    pub ready: Vec<String>,
}

impl Manifest {
    /// Reads the DaemonSet and its `ConfigMap`.
    pub fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Value>);
        let documents = documents.collect::<Result<Vec<_>, _>>().context("parse the manifest")?;
        let of_kind = |kind: &str| {
            let found = documents.iter().find(|document| document["kind"] == kind);
            found.with_context(|| format!("the manifest has no {kind}"))
        };
        let pod = of_kind("DaemonSet")?["spec"]["template"]["spec"].clone();
        ensure!(pod["hostNetwork"] == true, "the pod is not in the host's network");
        let files = serde_json::from_value(of_kind("ConfigMap")?["data"].clone())?;
        Ok(Self { pod, files })
    }

    /// The text of a file of the ConfigMap, for overlays.
    pub fn file(&mut self, name: &str) -> Result<&mut String> {
        self.files.get_mut(name).with_context(|| format!("the ConfigMap has no {name}"))
    }

    /// Adds a file to the ConfigMap.
    pub fn add_file(&mut self, name: &str, text: String) {
        self.files.insert(name.to_owned(), text);
    }

    /// Makes the volumes, with what is not the host's in a folder, and tells how to start the containers
    /// on a node of that name.
    pub fn containers(&self, folder: &Path, node: &str) -> Result<Vec<Container>> {
        let volumes = list(&self.pod["volumes"]).iter().map(|volume| {
            let name = text(&volume["name"])?;
            let place = self.volume(volume, &folder.join(&name)).with_context(|| name.clone())?;
            Ok((name, place))
        });
        let volumes = volumes.collect::<Result<BTreeMap<_, _>>>()?;
        let seccomp = self.pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault";
        let containers = list(&self.pod["containers"]).iter();
        containers
            .map(|spec| {
                let mut options = options(spec, &volumes, node)?;
                options.extend(seccomp.then(|| "--seccomp".to_owned()));
                Ok(Container {
                    name: text(&spec["name"])?,
                    options,
                    image: text(&spec["image"])?,
                    command: words(&spec["command"]).chain(words(&spec["args"])).collect(),
                    ready: words(&spec["readinessProbe"]["exec"]["command"]).collect(),
                })
            })
            .collect()
    }

    fn volume(&self, volume: &Value, folder: &Path) -> Result<PathBuf> {
        let make = |folder: &Path| {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))
        };
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).with_context(|| format!("write {name}"))
        };
        if let Some(host) = volume["hostPath"]["path"].as_str() {
            if volume["hostPath"]["type"] == "DirectoryOrCreate" {
                make(Path::new(host))?;
            }
            ensure!(Path::new(host).is_dir(), "the host has no {host}");
            return Ok(host.into());
        }
        make(folder)?;
        if volume["configMap"].is_object() {
            self.files.iter().try_for_each(|(name, text)| write(name, text))?;
        } else if volume["projected"].is_object() {
            // Nobody asks an API server here.
            ["token", "ca.crt", "namespace"].iter().try_for_each(|name| write(name, "-"))?;
        } else {
            bail!("a volume of a kind that is not known here: {volume}");
        }
        Ok(folder.to_owned())
    }
}

/// What `ctr run` is told of a container, as containerd is by a kubelet.
fn options(spec: &Value, volumes: &BTreeMap<String, PathBuf>, node: &str) -> Result<Vec<String>> {
    let security = &spec["securityContext"];
    ensure!(security["privileged"] == false, "the container is privileged");
    let mut options: Vec<String> = vec!["--net-host".to_owned()];
    if security["readOnlyRootFilesystem"] == true {
        options.push("--read-only".to_owned());
    }
    if security["allowPrivilegeEscalation"] != false {
        options.push("--allow-new-privs".to_owned());
    }
    let capabilities = &security["capabilities"];
    let added: Vec<_> = words(&capabilities["add"]).collect();
    ensure!(words(&capabilities["drop"]).eq(["ALL"]), "not all capabilities are dropped");
    for name in DEFAULT.iter().filter(|name| !added.iter().any(|added| added == *name)) {
        options.extend(["--cap-drop".to_owned(), format!("CAP_{name}")]);
    }
    for name in added {
        options.extend(["--cap-add".to_owned(), format!("CAP_{name}")]);
    }
    for variable in list(&spec["env"]) {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("spec.nodeName") => node.to_owned(),
            Some(other) => bail!("{other} is not known here"),
            None => text(&variable["value"])?,
        };
        options.extend(["--env".to_owned(), format!("{}={value}", text(&variable["name"])?)]);
    }
    for mount in list(&spec["volumeMounts"]) {
        let name = text(&mount["name"])?;
        let from = volumes.get(&name).with_context(|| format!("there is no volume {name}"))?;
        let access = if mount["readOnly"] == true { "ro" } else { "rw" };
        let spread = match mount["mountPropagation"].as_str() {
            None => "rprivate",
            Some("HostToContainer") => "rslave",
            Some(other) => bail!("a mount that spreads {other} needs a privileged container"),
        };
        let (from, to) = (from.display(), text(&mount["mountPath"])?);
        let mount = format!("type=bind,src={from},dst={to},options=rbind:{spread}:{access}");
        options.extend(["--mount".to_owned(), mount]);
    }
    Ok(options)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn words(value: &Value) -> impl Iterator<Item = String> {
    list(value).iter().filter_map(|word| word.as_str().map(str::to_owned))
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_manifest_is_understood() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/netpath.yaml");
        let mut manifest = Manifest::load(&file).expect("the manifest");
        assert!(manifest.file("netpath.toml").expect("a file").contains("[kubernetes]"));
        let pod = &manifest.pod;
        let names: Vec<_> = list(&pod["containers"]).iter().map(|it| text(&it["name"])).collect();
        assert_eq!(names.into_iter().collect::<Result<Vec<_>>>().expect("names"), ["agent", "cni"]);
        let volumes = list(&pod["volumes"]).iter();
        let volumes: BTreeMap<_, _> =
            volumes.map(|it| (text(&it["name"]).expect("a name"), PathBuf::from("/v"))).collect();
        let agent = options(&pod["containers"][0], &volumes, "node1").expect("options").join(" ");
        for expected in [
            "--read-only",
            "--cap-drop CAP_CHOWN",
            "--cap-add CAP_SYS_ADMIN",
            "--env NODE_NAME=node1",
            "--mount type=bind,src=/v,dst=/sys/fs/bpf,options=rbind:rslave:rw",
        ] {
            assert!(agent.contains(expected), "{expected}: {agent}");
        }
        assert!(!agent.contains("--cap-drop CAP_NET_RAW"), "{agent}");
        let cni = options(&pod["containers"][1], &volumes, "node1").expect("options").join(" ");
        assert!(!cni.contains("--cap-add") && !cni.contains("--allow-new-privs"), "{cni}");
    }
}
