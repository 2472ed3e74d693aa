//! What benches have in common: what they build, how they run and end, and the words of their tables.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Builder;

use super::usage::raise_descriptors;

/// Builds what is measured, measures, and says on stderr why that was not possible.
pub fn run(name: &str, measure: impl FnOnce() -> Result<()>) -> ExitCode {
    let prepared = build_binaries().and_then(|()| raise_descriptors());
    match prepared.and_then(|()| measure()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs clients and stand-ins of a bench on two threads.
///
/// # Errors
/// As of what is run, or when threads cannot be had.
pub fn block_on<T>(measured: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measured)
}

/// Builds what the node entry starts in containers. It has no libraries there.
///
/// # Errors
/// When it cannot be built.
pub fn build_static() -> Result<()> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let folder = format!("{target}/launcher");
    for (package, program) in [
        ("podgate-node-entry", "podgate-launcher"),
        ("podgate-worker", "podgate-worker"),
    ] {
        let what = ["-p", package, "--bin", program, "--target-dir", &folder];
        let flags = ["-C", "target-feature=+crt-static", "-C", "strip=symbols"];
        cargo("rustc", &what, &flags)?;
    }
    Ok(())
}

/// Cargo builds no other package's programs for a bench.
fn build_binaries() -> Result<()> {
    let mut what = vec!["--workspace"];
    for name in [
        "podgate-frontdoor",
        "podgate-agent",
        "podgate-node-helper",
        "podgate-node-entry",
    ] {
        what.extend(["--bin", name]);
    }
    cargo("build", &what, &[])
}

/// Builds in the bench's own profile, with these flags for rustc.
fn cargo(verb: &str, what: &[&str], flags: &[&str]) -> Result<()> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build.arg(verb).args(what);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if !flags.is_empty() {
        build.arg("--").args(flags);
    }
    let status = build.status().context("cargo")?;
    ensure!(status.success(), "{what:?} could not be built");
    Ok(())
}

/// The middle one.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A table's word for a target.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
