//! Builds the eBPF programs with this very toolchain and puts the object into `OUT_DIR`.

use std::{env, error::Error, path::PathBuf};

use aya_build::{Package, Toolchain, build_ebpf};

/// The toolchain of rust-toolchain.toml: both halves are built by one compiler.
const TOOLCHAIN: &str = "1.95.0";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let source = root.join("netpath-ebpf");
    println!("cargo::rerun-if-changed={}", root.join("netpath-common/src").display());

    // `cargo xtask setup` installs bpf-linker below target/; a plain `cargo build` finds it too.
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut path = vec![root.join("target/tools/bin"), target.join("tools/bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // SAFETY: a build script of one thread.
    unsafe { env::set_var("PATH", env::join_paths(path)?) };
    // Lets the stable compiler build core for the BPF target.
    // SAFETY: as above.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };

    build_ebpf(
        [Package {
            name: "netpath-ebpf",
            root_dir: source.to_str().ok_or("the path of the workspace is not UTF-8")?,
            ..Package::default()
        }],
        Toolchain::Custom(TOOLCHAIN),
    )?;
    Ok(())
}
