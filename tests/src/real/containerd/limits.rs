//! Limits of a container that runs, and whether it runs at all, as the kernel's control groups have them.

use anyhow::{Context, Result};

use super::running::RunningPod;

/// A file of a control group, which version 1 and version 2 name differently.
struct Knob {
    controller: &'static str,
    version_1: &'static str,
    version_2: &'static str,
}

const PROCESSES: Knob = Knob {
    controller: "pids",
    version_1: "pids.max",
    version_2: "pids.max",
};
const MEMORY: Knob = Knob {
    controller: "memory",
    version_1: "memory.limit_in_bytes",
    version_2: "memory.max",
};

const FROZEN: Knob = Knob {
    controller: "freezer",
    version_1: "freezer.state",
    version_2: "cgroup.freeze",
};

/// A container whose processes stand still, whatever signals they get; they go on when this is dropped.
#[derive(Debug)]
pub struct Frozen {
    file: String,
    thawed: &'static str,
}

impl RunningPod {
    /// Lets all processes of a container stand still.
    ///
    /// # Errors
    /// When it does not run, or the kernel refuses.
    pub async fn freeze(&self, container: &str) -> Result<Frozen> {
        let (file, is_version_1) = FROZEN.file(self.pid(container).await?)?;
        let (frozen, thawed) = match is_version_1 {
            true => ("FROZEN", "THAWED"),
            false => ("1", "0"),
        };
        write(&file, frozen)?;
        Ok(Frozen { file, thawed })
    }

    /// Lets a container have at most so many processes; `None` is no limit.
    ///
    /// # Errors
    /// When it does not run, or the kernel refuses.
    pub async fn limit_processes(&self, container: &str, most: Option<u32>) -> Result<()> {
        let most = most.map_or_else(|| "max".to_owned(), |most| most.to_string());
        PROCESSES.set(self.pid(container).await?, &most, &most)
    }

    /// Lets a container have at most so many bytes of memory; `None` is no limit.
    ///
    /// # Errors
    /// When it does not run, or the kernel refuses.
    pub async fn limit_memory(&self, container: &str, most: Option<u64>) -> Result<()> {
        let most = most.map(|most| most.to_string());
        let version_1 = most.as_deref().unwrap_or("-1");
        let version_2 = most.as_deref().unwrap_or("max");
        MEMORY.set(self.pid(container).await?, version_1, version_2)
    }
}

impl Knob {
    fn set(&self, pid: u32, version_1: &str, version_2: &str) -> Result<()> {
        let (file, is_version_1) = self.file(pid)?;
        write(&file, if is_version_1 { version_1 } else { version_2 })
    }

    /// Its file for the control group of a process, and whether that is of version 1.
    fn file(&self, pid: u32) -> Result<(String, bool)> {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let group = |controllers: &str| {
            let mut lines = groups.lines().map(|line| line.splitn(3, ':'));
            lines.find_map(|mut line| (line.nth(1)? == controllers).then(|| line.next())?)
        };
        let Self {
            controller,
            version_1,
            version_2,
        } = self;
        match group(controller) {
            Some(path) => Ok((
                format!("/sys/fs/cgroup/{controller}{path}/{version_1}"),
                true,
            )),
            None => {
                let path = group("").context("no control group")?;
                Ok((format!("/sys/fs/cgroup{path}/{version_2}"), false))
            }
        }
    }
}

fn write(file: &str, value: &str) -> Result<()> {
    std::fs::write(file, value).with_context(|| format!("{value} to {file}"))
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may be gone.
        let _ = write(&self.file, self.thawed);
    }
}
