//! Tools and libraries that people use through SSH: themselves where they can be had, else their sequences by
//! OpenSSH's client. Those that every run has are tests like others; the rest are ignored tests, which
//! `PODGATE_TOOLS=all tests/all` runs.

mod code;
mod documented;
mod editors;
mod libraries;
mod network;
mod programs;
mod uploads;

use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// For one client, on a machine that builds beside it.
const SOON: Duration = Duration::from_secs(120);
/// The pod.
const POD: &str = "deb";

/// A node with an entry, and a pod in this machine's network.
struct Place {
    stand: Stand,
    pod: RunningPod,
}

impl Place {
    async fn new() -> Self {
        Self::of(PodSpec::bash(POD)).await
    }

    async fn of(spec: PodSpec) -> Self {
        let changes = Changes {
            runs: Runs::Auto,
            frontdoor: "forwards: {hostNetwork: true}\n".to_owned(),
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await.unwrap();
        let pod = stand.run_pod(spec).await.unwrap();
        Self { stand, pod }
    }

    /// Runs a command without a terminal.
    async fn run(&self, options: &[&str], command: &str) -> Output {
        let output = self.stand.client.run(options, &self.pod.name, command);
        output.await.unwrap()
    }

    /// What a command that succeeds says.
    async fn says(&self, options: &[&str], command: &str) -> String {
        succeeds(&self.run(options, command).await, command)
    }

    /// The same, given this on its stdin.
    async fn told(&self, options: &[&str], command: &str, stdin: &[u8]) -> String {
        let mut ssh = self.stand.client.ssh(options, &self.pod.name);
        let output = given(ssh.arg(command), stdin).await;
        succeeds(&output, command)
    }
}

/// Gives a program these bytes, and waits for its end.
async fn given(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let write = async move {
        // It may end before it has read all.
        let _ = pipe.write_all(stdin).await;
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    timeout(SOON, both).await.unwrap().unwrap()
}

fn succeeds(output: &Output, what: &str) -> String {
    let (out, wrong) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {wrong}");
    String::from_utf8_lossy(out).into_owned()
}
