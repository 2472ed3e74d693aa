//! Containers and shims that stand still: nothing is read or written there for a while, and signals wait.

use podgate_tests::real::containerd::{Frozen, RunningPod};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// What stands still, and until when.
#[derive(Default)]
pub(super) struct Still {
    containers: Vec<(Instant, Frozen)>,
    processes: Vec<(Instant, Pid)>,
}

impl Still {
    pub(super) async fn container(&mut self, until: Instant, pod: &RunningPod) {
        let frozen = pod.freeze("app").await.unwrap();
        self.containers.push((until, frozen));
    }

    pub(super) fn process(&mut self, until: Instant, pid: u32) {
        let pid = Pid::from_raw(pid as i32).unwrap();
        // A part that was just killed may be gone.
        if kill_process(pid, Signal::STOP).is_ok() {
            self.processes.push((until, pid));
        }
    }

    /// The shim of a pod, which is the parent of its containers.
    pub(super) async fn shim(&mut self, until: Instant, pod: &RunningPod) {
        let pid = pod.pid("app").await.unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        self.process(until, parent.unwrap().trim().parse().unwrap());
    }

    /// Ends what has lasted until `now`.
    pub(super) fn mend(&mut self, now: Instant) {
        self.containers.retain(|(until, _)| *until > now);
        self.processes.retain(|(until, pid)| {
            if *until <= now {
                // It may have been killed in its sleep.
                let _ = kill_process(*pid, Signal::CONT);
            }
            *until > now
        });
    }
}
