//! One start: the checks, the runtime's `exec --detach`, and what is handed to the agent.
//!
//! The program is the launcher, which waits for the agent's word on its socket. If this process, the
//! agent or the start itself is cut off before that, the socket closes and the launcher ends: nothing
//! has run, so nothing has to be looked for.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use rustix::fs::{Gid, Uid, fchown, fstat};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use podgate_node_entry::ids::{ContainerId, Handle};
use podgate_node_entry::protocol::{Answer, Message, Process, Start, Streams};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::status::Status;
use podgate_node_entry::system;

use super::console::{self, Console};
use super::context::Context;
use super::counts::Place;
use super::fresh::fresh;
use super::journal::Entry;
use super::reaper::Flight;
use super::scratch::Scratch;
use super::session;
use super::survey;
use crate::container::bundle::Container;
use crate::container::failure;
use crate::container::kills::Kills;
use crate::container::shim::Shim;
use crate::processes::{self, Stat};
use crate::record::{Connection, Notice};

/// The launcher, as the runtime is told to run it: the first of the descriptors that are kept.
const PROGRAM: &str = "/proc/self/fd/3";
/// Files in it.
const PROCESS: &str = "process.json";
const PID: &str = "pid";
const LOG: &str = "log";
/// The runtime's own stdin, stdout and stderr where the program has a terminal.
const HEARD: &str = "stdin";
const SAID: &str = "output";

/// SIGKILL.
const KILL: u8 = 9;

/// What is with a start.
pub(crate) struct Given {
    pub(crate) start: Start,
    /// What the launcher reads.
    pub(crate) launch: OwnedFd,
    /// The program's ends of its pipes.
    pub(crate) pipes: Option<[OwnedFd; 3]>,
}

/// A launcher that waits.
struct Begun {
    leader: Process,
    pid: Pid,
    pidfd: OwnedFd,
    /// The launcher's socket.
    control: OwnedFd,
    master: Option<OwnedFd>,
    pipes: Option<[u64; 3]>,
    place: Place,
    kills: Option<Kills>,
    /// Until its end is waited for.
    _flight: Flight,
}

/// Starts a program and answers.
pub(crate) fn serve(context: &Arc<Context>, connection: Connection, number: u64, given: Given) {
    let (container, user) = (given.start.container.clone(), given.start.user.clone());
    let begun = match begin(context, given) {
        Ok(begun) => begun,
        Err(reason) => return context.outbox.refuse(connection, number, reason),
    };
    let handle = Handle(fresh());
    let entry = |boot: &str| Entry {
        boot: boot.to_owned(),
        handle,
        container,
        user,
        leader: begun.leader,
        pipes: begun.pipes,
        hung_up: None,
    };
    let entry = context.programs.note(entry);
    let master = begun.master.as_ref().map(OwnedFd::try_clone).transpose();
    let (Ok(pidfd), Ok(master)) = (begun.pidfd.try_clone(), master) else {
        return give_up(context, connection, number, handle);
    };
    let held = (Some(begun.place), master);
    if !context.programs.add(entry, connection, held) {
        return give_up(context, connection, number, handle);
    }
    let answer = Answer::Started {
        handle,
        process: begun.leader,
    };
    let message = Message::Answer { number, answer };
    let beside = [begun.pidfd, begun.control].into_iter().chain(begun.master);
    let notice = Notice::Tell {
        connection,
        message,
    };
    context.outbox.put(notice, beside.collect());
    let programs = context.programs.clone();
    let kills = begun.kills;
    let ended = Box::new(move |status| {
        let memory_limit = is_kill(status) && kills.is_some_and(|kills| kills.more());
        programs.ended(handle, (status, memory_limit));
    });
    if let Err(error) = context.reaper.watch(begun.pid, pidfd, ended) {
        crate::end::fatal(&format!("cannot wait for a program: {error}"));
    }
}

/// Whether SIGKILL has ended a program, or a child of it if it is a shell.
fn is_kill(status: Option<Status>) -> bool {
    match status {
        Some(Status::Exited(code)) => code == 128 + KILL,
        Some(Status::Signalled { signal, .. }) => signal == KILL,
        None => false,
    }
}

/// Nobody is there for it any more, or nothing more can be opened. Its launcher ends with its socket.
fn give_up(context: &Context, connection: Connection, number: u64, handle: Handle) {
    context.programs.release(handle, connection);
    let reason = Reason::Entry("it cannot be handed over".to_owned());
    context.outbox.refuse(connection, number, reason);
}

fn entry_failed(error: impl std::fmt::Display) -> Reason {
    Reason::Entry(error.to_string())
}

/// The first process of a container that is the one meant and may be entered.
fn may_enter(context: &Context, container: &Container, start: &Start) -> Result<Stat, Reason> {
    let rules = &context.options.rules;
    container.config.check(start, rules)?;
    let first = container.live()?;
    if !rules.host_processes && container.sees_the_node() {
        return Err(Reason::HostProcesses);
    }
    Ok(first)
}

fn begin(context: &Arc<Context>, given: Given) -> Result<Begun, Reason> {
    let Given {
        start,
        launch,
        pipes,
    } = given;
    let place = context
        .running
        .take(&start.container, &start.user)
        .map_err(Reason::TooMany)?;
    // Where the launcher may not run, nothing else is looked at.
    let launcher = context.launcher.of(&start.container)?;
    let container = context.bundles.find(&start.container)?;
    let first = may_enter(context, &container, &start)?;
    let shim = Shim::of(&first)?;
    survey::note(context, &container, &shim);
    let scratch = Scratch::new().map_err(entry_failed)?;
    let description = container.config.describe(&start, PROGRAM)?;
    scratch.write(PROCESS, &description).map_err(entry_failed)?;
    let console = match start.streams {
        Streams::Pipes => None,
        Streams::Terminal { .. } => Some(Console::listen(&scratch).map_err(entry_failed)?),
    };
    let numbers = pipes
        .as_ref()
        .map(|pipes| adopt(&container, pipes))
        .transpose()?;
    let (control, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(entry_failed)?;

    let mut steps = shim.steps()?;
    let mut kept = kept(context, &start.container, (&launcher, launch, theirs))?;
    let mut command = command(
        &container,
        &shim,
        start.container.as_ref(),
        console.is_some(),
        kept.len(),
    )?;
    let folder = scratch.as_fd().try_clone_to_owned();
    kept.push(folder.map_err(entry_failed)?);
    steps.descriptors = kept;
    streams(&mut command, pipes, &scratch).map_err(entry_failed)?;
    system::before_execve(&mut command, steps);

    let flight = context.reaper.flight();
    let place = run(context, command, &scratch, place)?;
    let (leader, pid, pidfd) = started(&scratch)?;
    let checked = container.live().and_then(|_| {
        let master = console.as_ref().map(Console::master).transpose();
        master.map_err(entry_failed)
    });
    let master = checked.inspect_err(|_| kill(&pidfd))?;
    Ok(Begun {
        leader,
        pid,
        pidfd,
        control,
        master,
        pipes: numbers,
        place,
        kills: container.kills,
        _flight: flight,
    })
}

/// What a program keeps: the launcher, what that reads, its socket, and the worker where there is one.
fn kept(
    context: &Context,
    container: &ContainerId,
    (launcher, launch, control): (&OwnedFd, OwnedFd, OwnedFd),
) -> Result<Vec<OwnedFd>, Reason> {
    let image = |image: &OwnedFd| image.try_clone().map_err(entry_failed);
    let mut kept = vec![image(launcher)?, launch, control];
    if let Some(worker) = &context.worker {
        kept.push(image(&*worker.of(container)?)?);
    }
    Ok(kept)
}

/// The numbers of the pipes, which are given to the container's user where it is another on the node.
fn adopt(container: &Container, pipes: &[OwnedFd; 3]) -> Result<[u64; 3], Reason> {
    let mut numbers = [0; 3];
    for (number, pipe) in numbers.iter_mut().zip(pipes) {
        if let Some((user, group)) = container.config.owner() {
            let owner = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            fchown(pipe, owner.0, owner.1).map_err(entry_failed)?;
        }
        *number = fstat(pipe).map_err(entry_failed)?.st_ino;
    }
    Ok(numbers)
}

/// The runtime's command, as containerd's shim has it (go-runc, Exec). The program keeps so many
/// descriptors beside stdin, stdout and stderr: the launcher, what it reads, its socket and the worker.
/// The next one, which is the runtime's own, is the start's folder.
fn command(
    container: &Container,
    shim: &Shim,
    id: &str,
    with_console: bool,
    kept: usize,
) -> Result<Command, Reason> {
    let folder = system::FIRST as usize + kept;
    let runtime = &container.runtime;
    let mut command = Command::new(shim.program(&runtime.program)?);
    let kept = kept.to_string();
    let file = |name: &str| format!("/proc/self/fd/{folder}/{name}");
    command.env_clear().env("PATH", shim.path());
    command.arg("--root").arg(&runtime.root);
    command.args(["--log", &file(LOG), "--log-format", "json"]);
    if runtime.systemd {
        command.arg("--systemd-cgroup");
    }
    command.args(["exec", "--detach", "--preserve-fds", &kept]);
    command.args(["--pid-file", &file(PID), "--process", &file(PROCESS)]);
    if with_console {
        command.args(["--console-socket", &file(console::NAME)]);
    }
    command.arg(id);
    Ok(command)
}

/// Never this process's own: what a program holds of these its container's runtime waits for.
fn streams(
    command: &mut Command,
    pipes: Option<[OwnedFd; 3]>,
    scratch: &Scratch,
) -> std::io::Result<()> {
    match pipes {
        Some([stdin, stdout, stderr]) => command.stdin(stdin).stdout(stdout).stderr(stderr),
        // Not /dev/null, which is of one of this process's own mounts.
        None => {
            let said = scratch.file(SAID)?;
            command
                .stdin(scratch.file(HEARD)?)
                .stdout(said.try_clone()?)
                .stderr(said)
        }
    };
    Ok(())
}

/// Runs the runtime until it has started the launcher.
fn run(
    context: &Context,
    mut command: Command,
    scratch: &Scratch,
    place: Place,
) -> Result<Place, Reason> {
    let child = command
        .spawn()
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) => Reason::Gone,
            _ => entry_failed(error),
        })?;
    // With it go the ends that only the program may hold.
    drop(command);
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(entry_failed)?;
    let (told, ended) = sync_channel(1);
    let watched = pidfd.try_clone().map_err(entry_failed)?;
    let then = Box::new(move |status| {
        // Nobody listens any more once it took too long.
        let _ = told.try_send(status);
    });
    context
        .reaper
        .watch(pid, watched, then)
        .map_err(entry_failed)?;
    match ended.recv_timeout(context.options.start) {
        Ok(Some(Status::Exited(0))) => Ok(place),
        Ok(Some(Status::Exited(_))) => {
            let log = scratch.read(LOG).map_err(entry_failed)?;
            Err(failure::reason(&log))
        }
        Ok(_) => Err(Reason::CutOff),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            cut(context, pid, &pidfd, place);
            Err(Reason::Slow)
        }
    }
}

/// Kills a runtime that hangs and what it has started. Its place is the container's until all of that
/// has ended, which it may not before somebody thaws it.
fn cut(context: &Context, runtime: Pid, pidfd: &OwnedFd, mut place: Place) {
    place.keep_to_container();
    let place = Arc::new(place);
    let all = session::look();
    let runtime = runtime.as_raw_nonzero().get();
    let below = processes::with_descendants(HashSet::from([runtime]), &all);
    let is_below = |it: &&Stat| it.pid != runtime && below.contains(&it.pid);
    for stat in all.iter().filter(is_below) {
        let Some(pid) = Pid::from_raw(stat.pid) else {
            continue;
        };
        let Ok(child) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        if processes::stat(stat.pid).is_some_and(|it| it.start_time == stat.start_time) {
            kill(&child);
            let place = place.clone();
            if let Err(error) = context
                .reaper
                .watch(pid, child, Box::new(move |_| drop(place)))
            {
                eprintln!("podgate-node-entry: a hanging runtime: {error}");
            }
        }
    }
    kill(pidfd);
}

/// The process that the runtime has started, by its pid file. It is this process's child by now.
fn started(scratch: &Scratch) -> Result<(Process, Pid, OwnedFd), Reason> {
    let text = scratch.read(PID).map_err(entry_failed)?;
    let number = std::str::from_utf8(&text)
        .ok()
        .and_then(|it| it.trim().parse().ok());
    let pid = number.and_then(Pid::from_raw).ok_or(Reason::CutOff)?;
    let stat = processes::stat(pid.as_raw_nonzero().get()).ok_or(Reason::CutOff)?;
    if stat.parent != getpid().as_raw_nonzero().get() {
        return Err(Reason::CutOff);
    }
    // It is not reaped before it is watched, so its pid is its own.
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(entry_failed)?;
    Ok((stat.process(), pid, pidfd))
}

/// One that has ended needs no signal.
fn kill(pidfd: &OwnedFd) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}
