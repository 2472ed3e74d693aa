//! Runs a command beside parts of the stand and stops the parts afterwards, however the command ends:
//! `stand containerd -- CMD ARGS…` beside a containerd, `stand try [-- CMD ARGS…]` in a pod of a whole
//! Podgate that needs no root, `stand machine [-- CMD ARGS…]` in one that is this machine and has a node entry, which
//! needs root, `stand alone -- CMD ARGS…` apart from the machine's network and services.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::pin::Pin;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use podgate_tests::fixtures::gateway::binary;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::real::alone;
use podgate_tests::real::containerd::{Containerd, PodSpec, SHARED};
use podgate_tests::stand_ins::embedded::{EmbeddedContainer, PATH};

const USAGE: &str = "usage: stand containerd -- CMD ARGS… | stand try [-- CMD ARGS…] | \
    stand machine [-- CMD ARGS…] | stand alone -- CMD ARGS…";
/// As `alone`, once the namespaces are there.
const APART: &str = "apart";

/// How long the command may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut args = std::env::args_os().skip(1);
    let subcommand = args.next().unwrap_or_default();
    let command: Vec<OsString> = args.skip_while(|arg| arg == "--").collect();
    let ended = match subcommand.to_str() {
        Some("containerd") => containerd(&command).await,
        Some("try") => try_it(&command).await,
        Some("machine") => machine(&command).await,
        Some("alone") => alone(&command),
        Some(APART) => apart(&command).await,
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("stand: {error:#}");
            ExitCode::from(125)
        }
    }
}

/// One containerd that all tests of the command share.
async fn containerd(command: &[OsString]) -> anyhow::Result<u8> {
    let Some((program, args)) = command.split_first() else {
        bail!(USAGE);
    };
    let stop = stop_asked()?;
    tokio::pin!(stop);
    // Dropping a start that is under way ends what it has started.
    let containerd = tokio::select! {
        started = Containerd::start() => started?,
        () = &mut stop => bail!("stopped"),
    };
    let mut command = Command::new(program);
    command.args(args).env(SHARED, containerd.dir());
    run(&mut command, stop).await
}

/// Becomes this program in new namespaces.
fn alone(command: &[OsString]) -> anyhow::Result<u8> {
    if command.is_empty() {
        bail!(USAGE);
    }
    let mut command = alone::within(&std::env::current_exe()?, APART, command)?;
    Err(command.exec()).context("unshare")
}

/// A command in namespaces that are this process's own, behind the name of the one outside.
async fn apart(command: &[OsString]) -> anyhow::Result<u8> {
    let [outside, program, args @ ..] = command else {
        bail!(USAGE);
    };
    let stop = stop_asked()?;
    tokio::pin!(stop);
    let _held = alone::hold(outside)?;
    run(Command::new(program).args(args), stop).await
}

/// Runs a command until it ends or is to stop.
async fn run(
    command: &mut Command,
    stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<u8> {
    let mut child = command.kill_on_drop(true).spawn().with_context(|| {
        let program = command.as_std().get_program();
        program.to_string_lossy().into_owned()
    })?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = stop => end(&mut child).await?,
    };
    Ok(code(status))
}

/// A whole Podgate in front of plain processes: runs a command in its pod, or waits.
async fn try_it(command: &[OsString]) -> anyhow::Result<u8> {
    let stop = stop_asked()?;
    tokio::pin!(stop);
    eprintln!("stand: starting an API server, a kubelet, an agent and a frontdoor …");
    let stand = tokio::select! {
        started = Stand::embedded(Changes::default()) => started?,
        () = &mut stop => bail!("stopped"),
    };
    let programs = sftp_server(&stand)?;
    let what = "Its containers are plain processes of this machine.";
    let status = enter(&stand, what, command, stop).await;
    drop(programs);
    status
}

/// A whole Podgate whose pod is this machine, by a node entry: forwards both ways and agents can be tried there.
async fn machine(command: &[OsString]) -> anyhow::Result<u8> {
    let stop = stop_asked()?;
    tokio::pin!(stop);
    let start = async {
        let changes = Changes {
            runs: Runs::Direct,
            frontdoor: "forwards: {hostNetwork: true}\n".to_owned(),
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await?;
        let mut pod = stand.run_pod(PodSpec::busybox("demo")).await?;
        let containerd = stand.containerd.as_ref().context("no containerd")?;
        let machine = containerd.run_machine(&pod).await?;
        let app = pod.containers.first_mut().context("no container")?;
        app.id.clone_from(&machine.id);
        stand.publish(&pod);
        anyhow::Ok((stand, pod, machine))
    };
    let (stand, pod, machine) = tokio::select! {
        started = start => started?,
        () = &mut stop => bail!("stopped"),
    };
    let status = enter(&stand, "It is this machine.", command, stop).await;
    drop((machine, pod));
    status
}

/// Runs a command in pod `demo`, or says how to enter it, and waits.
async fn enter(
    stand: &Stand,
    what: &str,
    command: &[OsString],
    stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<u8> {
    if command.is_empty() {
        println!("Pod demo is there. {what}\n");
        println!("  {}\n", stand.client.line("ssh", "demo"));
        println!("It serves files, too:\n");
        println!("  {}\n", stand.client.line("sftp", "demo"));
        println!("Ctrl-C ends it.");
        stop.await;
        return Ok(0);
    }
    eprintln!("stand: ssh demo …");
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.args(command)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    run(&mut ssh, stop).await
}

/// Gives the pod an sftp-server, the worker, in case this machine has none.
fn sftp_server(stand: &Stand) -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let worker = binary("podgate-worker")?;
    let script = format!("#!/bin/sh\nexec '{}' sftp\n", worker.display());
    let program = folder.path().join("sftp-server");
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let container = EmbeddedContainer {
        path: Some(format!("{PATH}:{}", folder.path().display())),
        ..EmbeddedContainer::default()
    };
    let embedded = stand.embedded.as_ref().context("plain processes")?;
    embedded.container("demo", container);
    Ok(folder)
}

/// Resolves on the first SIGHUP, SIGINT or SIGTERM. From this call on, none of these ends the process.
fn stop_asked() -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Tells the command to end, and kills it after a while.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    let pid = child
        .id()
        .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    if let Some(pid) = pid {
        // It may have ended by itself. The wait shows that.
        let _ = kill_process(pid, Signal::TERM);
    }
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

/// The exit code that a shell would report.
fn code(status: ExitStatus) -> u8 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}
