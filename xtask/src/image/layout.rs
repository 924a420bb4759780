//! The OCI image layout: blobs by their digests, and an index that leads to them, in a tar archive.

use anyhow::Result;
use serde_json::{Value, json};

use super::facts::Facts;
use super::layer::{Entry, Layer, digest, tar};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What is started.
const ENTRYPOINT: &str = "/usr/bin/netpath-agent";

/// The machine that an image is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Platform {
    pub(super) architecture: &'static str,
    pub(super) variant: Option<&'static str>,
}

/// Images of several machines under one name.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    facts: &'a Facts,
    blobs: Vec<Entry>,
    manifests: Vec<Value>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self { facts, blobs: Vec::new(), manifests: Vec::new() }
    }

    /// Adds a machine's image of one layer, and returns how many bytes a node pulls.
    pub(super) fn add(&mut self, platform: Platform, layer: &Layer) -> usize {
        let annotations = self.facts.annotations();
        let created = self.facts.created();
        let mut config = json!({
            "created": created,
            "architecture": platform.architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/bin"],
                "Entrypoint": [ENTRYPOINT],
                "Labels": annotations,
            },
            "rootfs": { "type": "layers", "diff_ids": [layer.diff] },
            "history": [{ "created": created, "created_by": "cargo xtask image" }],
        });
        let mut place = json!({ "architecture": platform.architecture, "os": "linux" });
        if let Some(variant) = platform.variant {
            config["variant"] = variant.into();
            place["variant"] = variant.into();
        }
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let layer = self.blob(LAYER, layer.bytes.clone());
        let size = [&config, &layer].map(|blob| blob["size"].as_u64().unwrap_or_default());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": annotations,
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().into_bytes());
        manifest["platform"] = place;
        self.manifests.push(manifest);
        usize::try_from(size.iter().sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// The archive, and the digest by which registries and runtimes know the image.
    pub(super) fn archive(mut self, tag: &str) -> Result<(Vec<u8>, String)> {
        let manifests = std::mem::take(&mut self.manifests);
        // Runtimes take several images in the layout's own index for images of several names.
        let mut image = match <[Value; 1]>::try_from(manifests) {
            Ok([manifest]) => manifest,
            Err(manifests) => {
                let index = json!({
                    "schemaVersion": 2,
                    "mediaType": INDEX,
                    "manifests": manifests,
                    "annotations": self.facts.annotations(),
                });
                self.blob(INDEX, index.to_string().into_bytes())
            }
        };
        let digest = image["digest"].as_str().unwrap_or_default().to_owned();
        let version = tag.rsplit_once(':').map_or(tag, |(_, version)| version);
        // The first is what containerd, podman and docker read, the second what the OCI knows.
        image["annotations"] = json!({
            "io.containerd.image.name": tag,
            "org.opencontainers.image.ref.name": version,
        });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [image] });
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        let text = |path, value: &Value| Entry::file(path, 0o644, value.to_string().into_bytes());
        self.blobs.push(text("oci-layout", &layout));
        self.blobs.push(text("index.json", &index));
        Ok((tar(self.blobs, self.facts.epoch)?, digest))
    }

    /// Keeps a blob and returns what others say of it.
    fn blob(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({ "mediaType": kind, "digest": digest, "size": bytes.len() });
        let path = format!("blobs/{}", digest.replace(':', "/"));
        self.blobs.push(Entry::file(path, 0o644, bytes));
        descriptor
    }
}

#[cfg(test)]
mod tests;
