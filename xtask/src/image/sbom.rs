//! What an image's programs are made of: a bill of materials as `CycloneDX` 1.5 defines it.
//!
//! Cargo's tree is asked, and not its metadata: that knows the whole workspace's features only, and
//! would list crates that no shipped program has.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::facts::Facts;
use crate::arch::Arch;
use crate::command;
use crate::workspace::{TOOLCHAIN, Workspace};

/// What the kernel's programs are compiled for.
const BPF: &str = "bpfel-unknown-none";

/// A crate that is linked into a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    license: String,
    /// Whether it is the workspace's own, and in no registry.
    own: bool,
}

/// The document.
pub(super) fn make(workspace: &Workspace, facts: &Facts, arch: Arch) -> Result<String> {
    let mut crates = BTreeSet::new();
    // The kernel's programs are in the agent as a file.
    for (package, target) in [("netpath-agent", arch.target()), ("netpath-ebpf", BPF)] {
        let mut cargo = workspace.cargo();
        cargo.args(["tree", "--locked", "--package", package, "--target", target]);
        // Proc macros and build scripts leave nothing of themselves in a program.
        cargo.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}\t{l}"]);
        let tree = command::output(&mut cargo)?;
        for line in tree.lines().filter(|line| !line.is_empty()) {
            crates.insert(parse(line).with_context(|| format!("cargo tree printed {line:?}"))?);
        }
    }
    let document = document(&crates, facts);
    serde_json::to_string_pretty(&document).map(|text| text + "\n").context("write the SBOM")
}

/// A line such as `serde v1.0.1 (proc-macro)`, a tab, and `MIT OR Apache-2.0 (*)`.
fn parse(line: &str) -> Result<Crate> {
    let (package, license) = line.split_once('\t').context("no licence")?;
    let mut words = package.split(' ');
    let name = words.next().context("no name")?.to_owned();
    let version = words.next().and_then(|word| word.strip_prefix('v')).context("no version")?;
    let own = package.contains("(/");
    // The old way to say that there is a choice.
    let license = license.trim_end_matches(" (*)").replace('/', " OR ");
    if license.is_empty() {
        bail!("{name} tells no licence");
    }
    Ok(Crate { name, version: version.to_owned(), license, own })
}

fn document(crates: &BTreeSet<Crate>, facts: &Facts) -> Value {
    let license = |expression: &str| json!([{ "expression": expression }]);
    let component = |it: &Crate| {
        let purl = format!("pkg:cargo/{}@{}", it.name, it.version);
        let mut component = json!({
            "type": "library",
            "bom-ref": purl,
            "name": it.name,
            "version": it.version,
            "licenses": license(&it.license),
        });
        if !it.own {
            component["purl"] = purl.into();
        }
        component
    };
    let mut components: Vec<_> = crates.iter().map(component).collect();
    // Linked by the compiler, which no lock file names.
    components.push(json!({
        "type": "library",
        "bom-ref": format!("rust-std@{TOOLCHAIN}"),
        "name": "rust-std",
        "version": TOOLCHAIN,
        "description": "Rust's standard library, with the musl C library that it brings",
        "licenses": license("MIT OR Apache-2.0"),
    }));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": facts.created(),
            "component": {
                "type": "container",
                "bom-ref": format!("netpath@{}", facts.version),
                "name": "netpath",
                "version": facts.version,
            },
        },
        "components": components,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_are_read() {
        let serde = parse("serde v1.0.1\tMIT/Apache-2.0 (*)").expect("a crate");
        let expected = |name: &str, version: &str, license: &str, own| Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.to_owned(),
            own,
        };
        assert_eq!(serde, expected("serde", "1.0.1", "MIT OR Apache-2.0", false));
        let own = parse("netpath-common v0.1.0 (/src/netpath-common)\tMIT").expect("a crate");
        assert_eq!(own, expected("netpath-common", "0.1.0", "MIT", true));
        for line in ["serde v1.0.1", "serde\tMIT", "serde v1.0.1\t"] {
            parse(line).expect_err(line);
        }
    }

    #[test]
    fn every_program_s_crates_are_listed() {
        let workspace = Workspace::find().expect("workspace");
        let facts = Facts { version: "1.2.3".to_owned(), revision: None, epoch: 0 };
        let text = make(&workspace, &facts, Arch::Amd64).expect("SBOM");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let components = document["components"].as_array().expect("components");
        let find = |name: &str| components.iter().find(|it| it["name"] == name);
        for name in ["netpath-agent", "netpath-ebpf", "aya", "aya-ebpf", "ring", "rust-std"] {
            let component = find(name).expect(name);
            assert_ne!(component["licenses"][0]["expression"], "");
        }
        let kube = find("kube").expect("kube");
        let version = kube["version"].as_str().expect("version");
        assert_eq!(kube["purl"], format!("pkg:cargo/kube@{version}"));
        for name in ["serde_derive", "netpath-tests", "libtest-mimic", "aya-build"] {
            assert_eq!(find(name), None, "{name} is in no program");
        }
        let refs: BTreeSet<_> = components.iter().map(|it| it["bom-ref"].as_str()).collect();
        assert_eq!(refs.len(), components.len());
        assert!(!text.contains(workspace.root.to_str().expect("UTF-8")), "paths of this machine");
    }
}
