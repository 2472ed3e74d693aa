//! What a process uses of the machine, by proc(5), and what a bench prepares before it measures.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fixtures::gateway::Part;

impl Part {
    /// Time on a core since its start, in user and kernel mode; whole clock ticks, 10 ms as a rule.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.proc("stat")?)?;
        // The fields follow the name in parentheses, which may contain spaces: the state is field 3,
        // utime 14.
        let (_, fields) = stat.rsplit_once(") ").context("stat")?;
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse().unwrap_or(0)).sum();
        let second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
    }

    /// Its open descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd")?)?.count())
    }

    /// Its threads.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("task")?)?.count())
    }

    fn proc(&self, file: &str) -> Result<String> {
        let pid = self.pid().context("the process is gone")?;
        Ok(format!("/proc/{pid}/{file}"))
    }
}

/// Lets this process, and what it starts from now on, have as many descriptors as it may.
///
/// # Errors
/// Never: the limit stays within what is allowed.
pub fn raise_descriptors() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Builds what the node entry starts in containers, in the same profile.
///
/// # Errors
/// As of [`build_binaries`].
pub fn build_static() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for words in [
        [
            "build",
            "-p",
            "podgate-node-entry",
            "--bin",
            "podgate-node-entry",
        ]
        .as_slice(),
        &[
            "rustc",
            "-p",
            "podgate-node-entry",
            "--bin",
            "podgate-launcher",
        ],
        &["rustc", "-p", "podgate-worker", "--bin", "podgate-worker"],
    ] {
        let mut build = Command::new(&cargo);
        build.current_dir(root).args(words);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        if words.first() == Some(&"rustc") {
            build.args(["--target-dir", &format!("{target}/launcher"), "--"]);
            build.args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
        }
        let status = build.status().context("cargo")?;
        ensure!(status.success(), "{words:?} failed");
    }
    Ok(())
}

/// Builds the binaries that a bench measures, in its own profile: cargo builds no other package's.
///
/// # Errors
/// When they cannot be built.
pub fn build_binaries() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--workspace"]);
    for name in [
        "podgate-frontdoor",
        "podgate-agent",
        "podgate-node-helper",
        "podgate-node-entry",
    ] {
        build.args(["--bin", name]);
    }
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().context("cargo")?;
    ensure!(status.success(), "the binaries were not built");
    Ok(())
}
