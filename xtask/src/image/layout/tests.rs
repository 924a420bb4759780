//! What a runtime finds, from the index down to the files.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;

const TAG: &str = "localhost/netpath:1.2.3";

fn facts() -> Facts {
    Facts { version: "1.2.3".to_owned(), revision: Some("abc".to_owned()), epoch: 1_700_000_000 }
}

const AMD64: Platform = Platform { architecture: "amd64", variant: None };
const ARM64: Platform = Platform { architecture: "arm64", variant: Some("v8") };

fn archive(platforms: &[Platform]) -> (Vec<u8>, String) {
    let facts = facts();
    let mut layout = Layout::new(&facts);
    for platform in platforms {
        let program = Entry::file("usr/bin/netpath-agent", 0o755, platform.architecture.into());
        layout.add(*platform, &Layer::pack(vec![program], facts.epoch).expect("layer"));
    }
    layout.archive(TAG).expect("archive")
}

/// The archive's files.
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn read(archive: &[u8]) -> Self {
        let mut archive = tar::Archive::new(archive);
        let files = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("entry");
            let path = entry.path().expect("path").display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            (path, content)
        });
        Self(files.filter(|(path, _)| !path.ends_with('/')).collect())
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.0[path]).expect(path)
    }

    /// The blob that a descriptor describes, which must be what it says.
    fn blob(&self, descriptor: &Value, kind: &str) -> &[u8] {
        assert_eq!(descriptor["mediaType"], kind);
        let name = descriptor["digest"].as_str().expect("digest");
        let blob = &self.0[&format!("blobs/{}", name.replace(':', "/"))];
        assert_eq!(digest(blob), name);
        assert_eq!(descriptor["size"], blob.len());
        blob
    }

    /// Follows a manifest down to its one file, and returns the machine that it is for.
    fn check(&self, descriptor: &Value) -> String {
        let manifest: Value =
            serde_json::from_slice(self.blob(descriptor, MANIFEST)).expect("manifest");
        assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.3");
        let config: Value =
            serde_json::from_slice(self.blob(&manifest["config"], CONFIG)).expect("config");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/netpath-agent"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], "abc");
        assert_eq!(config["created"], "2023-11-14T22:13:20Z");
        assert_eq!(config["architecture"], descriptor["platform"]["architecture"]);
        assert_eq!(config.get("variant"), descriptor["platform"].get("variant"));
        let mut layer = Vec::new();
        let packed = self.blob(&manifest["layers"][0], LAYER);
        GzDecoder::new(packed).read_to_end(&mut layer).expect("gzip");
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
        let content = &Self::read(&layer).0["usr/bin/netpath-agent"];
        assert_eq!(config["architecture"], *str::from_utf8(content).expect("text"));
        String::from_utf8_lossy(content).into_owned()
    }
}

fn entry(files: &Files) -> Value {
    assert_eq!(files.json("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = files.json("index.json");
    assert_eq!(index["mediaType"], INDEX);
    let [entry] = index["manifests"].as_array().expect("manifests").as_slice() else {
        panic!("one image: {index}")
    };
    assert_eq!(entry["annotations"]["io.containerd.image.name"], TAG);
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    entry.clone()
}

#[test]
fn the_index_leads_to_the_files() {
    let (archive, digest) = archive(&[AMD64]);
    let files = Files::read(&archive);
    let entry = entry(&files);
    assert_eq!(entry["digest"], digest);
    assert_eq!(files.check(&entry), "amd64");
    // Two of the layout, and the image's.
    assert_eq!(files.0.len(), 5);
}

#[test]
fn several_machines_share_a_name() {
    let (archive, digest) = archive(&[AMD64, ARM64]);
    let files = Files::read(&archive);
    let entry = entry(&files);
    assert_eq!(entry["digest"], digest);
    let index: Value = serde_json::from_slice(files.blob(&entry, INDEX)).expect("index");
    let manifests = index["manifests"].as_array().expect("manifests");
    let machines: Vec<_> = manifests.iter().map(|manifest| files.check(manifest)).collect();
    assert_eq!(machines, ["amd64", "arm64"]);
}

#[test]
fn the_same_image_makes_the_same_bytes() {
    assert_eq!(archive(&[AMD64, ARM64]), archive(&[AMD64, ARM64]));
}
