//! The static program `/probe`, compiled from C at the stand's start: the images stay free of
//! anything prebuilt, and a C compiler is on every machine that links Rust.

use std::process::Command;

use anyhow::{Context, ensure};

const SOURCE: &str = include_str!("probe.c");

/// The program's bytes.
pub(super) fn compile() -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    let scratch = scratch.path();
    let source = scratch.join("probe.c");
    let program = scratch.join("probe");
    std::fs::write(&source, SOURCE).with_context(|| source.display().to_string())?;
    // Without a build id and with symbols stripped the same source gives the same bytes.
    let output = Command::new("cc")
        .args([
            "-static",
            "-Os",
            "-s",
            "-Wall",
            "-Werror",
            "-Wl,--build-id=none",
            "-o",
        ])
        .arg(&program)
        .arg(&source)
        .output()
        .context("cc, of the package gcc")?;
    ensure!(
        output.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(&program).with_context(|| program.display().to_string())
}
