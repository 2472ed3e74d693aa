//! What a process uses of the machine, by proc(5).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::threads::fields;
use crate::fixtures::gateway::Part;

impl Part {
    /// Time on a core since its start, in user and kernel mode; whole clock ticks, 10 ms as a rule.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.proc("stat")?)?;
        let (_, fields) = fields(&stat).context("stat")?;
        // Fields 14 and 15, utime and stime.
        let ticks = fields.skip(11).take(2);
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
