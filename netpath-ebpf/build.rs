//! Options for bpf-linker, which generates the code.

fn main() {
    // Headers lie at odd offsets behind the 14 bytes of Ethernet. Kernels of the architectures that
    // matter allow such loads (CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS); byte-wise ones cost twice.
    println!("cargo::rustc-link-arg=--cpu-features=+allows-misaligned-mem-access");
    println!("cargo::rerun-if-changed=build.rs");
}
