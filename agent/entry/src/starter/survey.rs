//! Which runtimes the node's containers have, and their versions: said once each, at the start of this program or at
//! the first start under one. An old runc is warned of.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use podgate_node_entry::reason::Reason;
use podgate_node_entry::system;

use super::context::Context;
use super::scratch::Scratch;
use crate::container::bundle::Container;
use crate::container::runtime::Kind;
use crate::container::shim::Shim;

/// Containers that are looked at when this program starts.
const LOOKS: usize = 64;
/// What a runtime says.
const SAID: &str = "version";
/// runc before it lets the working folder of an exec be one of the node's (CVE-2024-21626).
const SOUND: [u32; 3] = [1, 1, 12];

/// Looks at some containers that are there already.
pub(crate) fn look_around(context: &Arc<Context>) {
    let context = context.clone();
    let look = move || {
        for id in context.bundles.some(LOOKS) {
            // One that has ended meanwhile, or is none of ours, has nothing to tell.
            let found = context.bundles.find(&id);
            let Ok(container) = found else { continue };
            let shim = container.live().and_then(|first| Shim::of(&first));
            if let Ok(shim) = shim {
                note(&context, &container, &shim);
            }
        }
    };
    spawn(look);
}

/// Tells of a container's runtime, unless it was told of before. Does not wait.
pub(crate) fn note(context: &Arc<Context>, container: &Container, shim: &Shim) {
    let runtime = &container.runtime;
    let Ok(program) = shim.program(&runtime.program) else {
        return;
    };
    if !context.told.is_new(&program) {
        return;
    }
    let (kind, root) = (runtime.kind, runtime.root.clone());
    let (shim, context) = (shim.clone(), context.clone());
    spawn(move || {
        let said = version(&context, &program, &shim);
        let said = said.unwrap_or_else(|reason| format!("its version is not known: {reason}"));
        eprintln!(
            "podgate-node-entry: containers run under {}, state in {}: {said}",
            program.display(),
            root.display()
        );
        if kind == Kind::Runc && is_old(&said) {
            eprintln!(
                "podgate-node-entry: warning: runc before 1.1.12 lets a container leave by an exec (CVE-2024-21626), \
                 unless your distribution has mended it"
            );
        }
    });
}

fn spawn(what: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name("survey".into());
    if let Err(error) = thread.spawn(what) {
        eprintln!("podgate-node-entry: no look at the runtimes: {error}");
    }
}

/// The first line of `--version`.
fn version(context: &Context, program: &Path, shim: &Shim) -> Result<String, Reason> {
    let failed = |error: std::io::Error| Reason::Entry(error.to_string());
    let scratch = Scratch::new().map_err(failed)?;
    let said = scratch.file(SAID).map_err(failed)?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", shim.path())
        .arg("--version");
    command.stdin(scratch.file("stdin").map_err(failed)?);
    command
        .stdout(said.try_clone().map_err(failed)?)
        .stderr(said);
    system::before_execve(&mut command, shim.steps()?);
    let flight = context.reaper.flight();
    let child = command.spawn().map_err(failed)?;
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
    let (told, ended) = std::sync::mpsc::sync_channel(1);
    let then = Box::new(move |_| {
        // Nobody listens any more once it took too long.
        let _ = told.try_send(());
    });
    context.reaper.watch(pid, pidfd, then).map_err(failed)?;
    drop(flight);
    ended
        .recv_timeout(context.options.start)
        .map_err(|_| Reason::Slow)?;
    let bytes = scratch.read(SAID).map_err(failed)?;
    Ok(first_line(&bytes))
}

fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Whether this is a version of runc that is older than the mended one.
fn is_old(said: &str) -> bool {
    let version = said.strip_prefix("runc version ").unwrap_or_default();
    let number = |part: &str| {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part.get(..end)?.parse::<u32>().ok()
    };
    let numbers: Option<Vec<u32>> = version.splitn(3, '.').map(number).collect();
    numbers.is_some_and(|numbers| numbers.len() == SOUND.len() && numbers.as_slice() < &SOUND[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_runc_is_known() {
        for (said, expect) in [
            ("runc version 1.1.5+ds1", true),
            ("runc version 1.1.11", true),
            ("runc version 1.0.0-rc93", true),
            ("runc version 1.1.12", false),
            ("runc version 1.2.0-rc.1", false),
            ("runc version 1.10.0", false),
            ("runc version 2", false),
            ("crun version 1.1.5", false),
            ("", false),
        ] {
            assert_eq!(is_old(said), expect, "{said}");
        }
        assert_eq!(first_line(b"a\x1b[1m\nb"), "a[1m");
    }
}
