//! Embeds the kernel programs if `cargo xtask build-ebpf` has made them. Without them everything compiles, and the
//! daemon says at its start what is missing.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = root.join("../target/bpf/uidmeter.bpf.o");
    let embedded = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("uidmeter.bpf.o");
    println!("cargo:rerun-if-changed={}", object.display());
    match fs::read(&object) {
        Ok(bytes) => fs::write(embedded, bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(embedded, []),
        Err(error) => Err(error),
    }
}
