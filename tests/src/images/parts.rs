//! The image of Podgate's own parts: nothing but the libraries that built binaries need, and places
//! for these to be mounted at. Released ones are static, and need no library.

use super::archive::Layer;
use super::programs::{copy, libraries};

/// The binaries' names.
const BINARIES: [&str; 4] = [
    "podgate-agent",
    "podgate-frontdoor",
    "podgate-node-helper",
    "podgate-signer",
];

pub(super) fn layer() -> anyhow::Result<Layer> {
    let mut layer = Layer::default();
    for directory in ["dev", "etc", "proc", "sys"] {
        layer.directory(directory, 0o755, 0);
    }
    for merged in ["bin", "lib", "lib64", "sbin"] {
        layer.link(merged, &format!("usr/{merged}"));
    }
    // Built by the same compiler, this program needs what they need.
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    for library in libraries(&[own])? {
        copy(&mut layer, &library)?;
    }
    for name in BINARIES {
        layer.file(name, 0o755, Vec::new());
    }
    Ok(layer)
}
