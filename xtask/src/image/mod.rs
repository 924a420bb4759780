//! `cargo xtask image`: the programs as an image from scratch, in an archive that every runtime imports.
//! No daemon takes part, and the same sources make the same bytes.

mod facts;
mod layer;
mod layout;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::facts::Facts;
use self::layer::{Entry, Layer};
use self::layout::{Layout, Platform};
use crate::arch::Arch;
use crate::build;
use crate::progress::step;
use crate::workspace::Workspace;

/// Bytes that the archive of one machine may have. Nodes pull it when they are in a hurry.
const LIMIT: usize = 25 << 20;

/// `cargo xtask image`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive is an OCI image layout. Beside it goes what is in the image, as an SBOM (CycloneDX).
Times are those of SOURCE_DATE_EPOCH, or of the commit.

Examples:
  cargo xtask image                                  target/image/netpath-VERSION.tar, for amd64
  cargo xtask image --arch amd64 --arch arm64        one archive for both
  cargo xtask image --tag registry.example/netpath:1.2.3 --output netpath.tar

  ctr --namespace k8s.io images import target/image/netpath-VERSION.tar     into containerd
  podman load --input target/image/netpath-VERSION.tar")]
pub(crate) struct Args {
    /// The machine; may be repeated, for one image of several.
    #[arg(long = "arch", value_name = "ARCH", default_value = "amd64")]
    arches: Vec<Arch>,
    /// The image's name; localhost/netpath and the version, if not given.
    #[arg(long, value_name = "NAME:TAG")]
    tag: Option<String>,
    /// The archive; below target/image, if not given.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Builds it and says where it is.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let facts = Facts::gather(workspace)?;
    let tag = match &args.tag {
        Some(tag) => tag.clone(),
        None => format!("localhost/netpath:{}", facts.version),
    };
    check_tag(&tag)?;
    let mut arches = args.arches.clone();
    arches.sort_unstable();
    arches.dedup();
    let default = || workspace.target.join("image").join(format!("netpath-{}.tar", facts.version));
    let output = args.output.clone().unwrap_or_else(default);
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }

    let mut layout = Layout::new(&facts);
    for arch in &arches {
        let programs = build::shipped(workspace, *arch)?;
        step(format!("Packing the image for {}", arch.name()));
        let sbom = sbom::make(workspace, &facts, *arch)?;
        let beside = output.with_extension(format!("{}.cdx.json", arch.name()));
        fs::write(&beside, &sbom).with_context(|| format!("write {}", beside.display()))?;
        let size = add(&mut layout, workspace, &facts, (*arch, &programs, sbom))?;
        println!("{:<8} {} of layers", arch.name(), mebibytes(size));
        if size > LIMIT {
            let limit = mebibytes(LIMIT);
            bail!("the image for {} is larger than {limit}; see what became larger", arch.name());
        }
        println!("{:<8} {}", "sbom", beside.display());
    }
    let (archive, digest) = layout.archive(&tag)?;
    fs::write(&output, &archive).with_context(|| format!("write {}", output.display()))?;
    println!("{:<8} {tag}", "image");
    println!("{:<8} {digest}", "digest");
    println!("{:<8} {} ({})", "archive", output.display(), mebibytes(archive.len()));
    Ok(0)
}

/// An archive of programs that were built already, called as the manifests have it.
pub(crate) fn of_built(workspace: &Workspace, programs: &Path) -> Result<PathBuf> {
    let facts = Facts::gather(workspace)?;
    let sbom = sbom::make(workspace, &facts, Arch::Amd64)?;
    let programs = build::SHIPPED.map(|name| programs.join(name));
    let mut layout = Layout::new(&facts);
    add(&mut layout, workspace, &facts, (Arch::Amd64, &programs, sbom))?;
    let (archive, _) = layout.archive(&format!("localhost/netpath:{}", facts.version))?;
    let file = workspace.target.join("image/image.tar");
    fs::create_dir_all(workspace.target.join("image")).context("create the folder of images")?;
    fs::write(&file, archive).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// Adds a machine's programs, and returns the bytes of their layers.
fn add(
    layout: &mut Layout<'_>,
    workspace: &Workspace,
    facts: &Facts,
    (arch, programs, sbom): (Arch, &[PathBuf], String),
) -> Result<usize> {
    let entries = entries(&workspace.root, programs, sbom.into_bytes())?;
    let platform = Platform { architecture: arch.name(), variant: arch.variant() };
    Ok(layout.add(platform, &Layer::pack(entries, facts.epoch)?))
}

/// What the image holds. `/var/run` is where runtimes say that network namespaces are.
fn entries(root: &Path, programs: &[PathBuf], sbom: Vec<u8>) -> Result<Vec<Entry>> {
    let mut entries =
        vec![Entry::link("var/run", "../run"), Entry::file("sbom/netpath.cdx.json", 0o644, sbom)];
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    for path in programs {
        let name = path.file_name().context("a program without a name")?.to_string_lossy();
        entries.push(Entry::file(format!("usr/bin/{name}"), 0o755, read(path)?));
    }
    for license in ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"] {
        entries.push(Entry::file(format!("licenses/{license}"), 0o644, read(&root.join(license))?));
    }
    entries.push(Entry::folder("run"));
    Ok(entries)
}

/// Runtimes refuse an archive whose image has no full name, or none at all, and say less.
fn check_tag(tag: &str) -> Result<()> {
    let (name, version) = tag.rsplit_once(':').unwrap_or((tag, ""));
    let is_word = |text: &str, more: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    let (host, path) = name.split_once('/').unwrap_or_default();
    let lower = !path.contains(|c: char| c.is_ascii_uppercase());
    if is_word(host, ".-:") && is_word(path, "/._-") && lower && is_word(version, "._-") {
        return Ok(());
    }
    bail!("--tag {tag}: write HOST/NAME:TAG, such as localhost/netpath:0.1.0")
}

fn mebibytes(bytes: usize) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_host_a_name_and_a_version() {
        for tag in ["localhost/netpath:0.1.0", "host.example:5000/a/net-path:v1"] {
            check_tag(tag).expect(tag);
        }
        for tag in ["netpath", "netpath:1", "localhost/netpath", "localhost/Netpath:1", "a/b:c d"] {
            let error = check_tag(tag).expect_err(tag).to_string();
            assert!(error.contains("such as localhost/netpath:"), "{error}");
        }
    }

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(mebibytes(25 << 20), "25.0 MiB");
        assert_eq!(mebibytes(1_700_000), "1.6 MiB");
    }
}
