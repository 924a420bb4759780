//! The image of the test containers: this program and nothing else, made here and not pulled.

use std::{
    env,
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The image's name in a runtime.
pub const NAME: &str = "localhost/netpath-sandbox:test";
/// The program in the image.
pub const PROGRAM: &str = "/netpath-sandbox";

/// Writes an archive as `docker save` does, which every runtime imports.
pub fn write(to: &Path) -> Result<()> {
    let own = env::current_exe().context("find this program")?;
    let program = fs::read(&own).with_context(|| format!("read {}", own.display()))?;
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, PROGRAM.trim_start_matches('/'), 0o755, &program)?;
    let layer = layer.into_inner().context("end the layer")?;
    let digest = Sha256::digest(&layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [PROGRAM], "Cmd": ["serve"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest:x}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]);
    let file = File::create(to).with_context(|| format!("create {}", to.display()))?;
    let mut image = tar::Builder::new(file);
    append(&mut image, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    append(&mut image, "config.json", 0o644, config.to_string().as_bytes())?;
    append(&mut image, "layer.tar", 0o644, &layer)?;
    image.into_inner().context("end the image")?;
    Ok(())
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_cksum();
    archive.append_data(&mut header, name, content).with_context(|| format!("add {name}"))
}
