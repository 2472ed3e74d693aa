//! A session channel's task: it gathers what the client asks for, and at `shell` or `exec` runs it.
//! The requests come through the channel, in order with its data.

use std::sync::Arc;
use std::time::Duration;

use podgate_proto::v1::exec::Program;
use podgate_proto::v1::{
    Action, EnvironmentVariable, Exec, Shell, Terminal, TerminalMode, TerminalSize,
};
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::connection::Client;
use super::{id, open, pump, recheck, reserved};
use crate::agents::Ids;
use crate::audit::{self, By};
use crate::authn::restrictions::Restrictions;
use crate::identity::Identity;
use crate::target::Target;

/// Bytes of environment that a client may send, at the most, names included.
const MAX_ENVIRONMENT: usize = 64 * 1024;
/// Bytes of a terminal's name.
const MAX_TERM: usize = 256;
/// For a client that does not read, to take the line that says why its session failed.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What someone reads whose rights were taken away.
const REVOKED: &str = "you may not enter this pod any more; the session is ended";
/// The status of a session that failed by no fault of its program, as of ssh itself.
const FAILED: u32 = 255;

/// What a channel knows of where it belongs.
pub(super) struct Task {
    pub(super) client: Arc<Client>,
    pub(super) identity: Arc<Identity>,
    pub(super) restrictions: Arc<Restrictions>,
    /// Where to.
    pub(super) login: String,
    /// The login name inside a jump, which may name a container.
    pub(super) inner: Option<String>,
    /// That the client asks for.
    pub(super) signals: mpsc::Receiver<Sig>,
    /// Cancelled when the client closes the channel, or goes.
    pub(super) closed: CancellationToken,
}

impl Task {
    pub(super) async fn run(mut self, channel: Channel<Msg>) {
        let (mut read, write) = channel.split();
        let exec = tokio::select! {
            exec = gather(&mut read, &self.client, &self.restrictions) => exec,
            () = self.client.worker.draining.cancelled() => None,
            // A channel on which nothing is asked for is nobody's session, and not among the idle ones.
            () = sleep(self.client.worker.limits.login_grace) => None,
            () = self.client.revoked.cancelled() => None,
            () = self.closed.cancelled() => None,
        };
        if let Some(exec) = exec {
            match id::random() {
                Ok(id) => {
                    let span = tracing::info_span!("session", %id, user = %self.identity.user);
                    self.session(exec, &id, read, &write).instrument(span).await;
                }
                Err(error) => tracing::error!(%error, "no random numbers"),
            }
        }
        // The channel may be gone, and is then closed already.
        let _ = write.eof().await;
        // First, so that a client that hears of the end may open the next.
        self.closed.cancel();
        let _ = write.close().await;
    }

    async fn session(
        &mut self,
        mut exec: Exec,
        session: &str,
        mut read: ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
    ) {
        let client = Arc::clone(&self.client);
        let worker = &client.worker;
        let tty = exec.terminal.is_some();
        let forced = self.restrictions.command.as_deref();
        let forced = forced.map(|command| force(command, &mut exec));
        let asked = forced.is_some().then_some(ORIGINAL_COMMAND);
        let from = (client.peer, client.way, self.login.as_str());
        let record =
            audit::Session::new(&worker.audit, session, &self.identity, from, &exec, asked);
        if let Some(Err(line)) = forced {
            record.refused(By::Restriction, line);
            return self.fail(line, write).await;
        }
        if let Some(Err(full)) = self.client.place.get() {
            let line = full.to_string();
            record.refused(By::Limit, &line);
            return self.fail(&line, write).await;
        }
        let place = match worker.places.session(&self.identity.user) {
            Ok(place) => place,
            Err(full) => {
                self.client.refused(full.limit());
                let line = full.to_string();
                record.refused(By::Limit, &line);
                return self.fail(&line, write).await;
            }
        };
        worker.metrics.sessions_active.inc();
        let run = async {
            let target = match Target::parse(&self.login, &worker.sessions.default_namespace) {
                Ok(Target::Reserved(word)) => {
                    return reserved::answer(word, &self.identity, worker, write, tty).await;
                }
                Ok(target) => target,
                Err(error) => {
                    let line = error.to_string();
                    record.refused(By::Route, &line);
                    return pump::End::Failed(line);
                }
            };
            let inner = self.inner.as_deref();
            let opened = open::open(
                worker,
                &self.identity,
                &target,
                Ids {
                    session,
                    connection: &client.id,
                },
                exec,
                inner,
                &record,
            )
            .await;
            let open::Opened {
                stream,
                rights,
                seat: _seat,
                said,
            } = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    let line = open::sentence(&error);
                    if let Some(by) = error.by() {
                        record.refused(by, &line);
                    }
                    return pump::End::Failed(line);
                }
            };
            let signals = &mut self.signals;
            tokio::select! {
                // In place, where it is held once.
                end = async {
                    if let Some(line) = said.filter(|_| tty) {
                        let line = format!("podgate: {line}\r\n");
                        // A client that does not take it goes without.
                        let tell = write.extended_data_bytes(pump::STDERR, line);
                        let _ = timeout(LAST_WORDS, tell).await;
                    }
                    pump::run(stream, &mut read, write, signals, worker, tty, &record).await
                } => end,
                () = rights.lost() => pump::End::Revoked(REVOKED.to_owned()),
            }
        };
        let end = tokio::select! {
            end = run => end,
            () = self.closed.cancelled() => pump::End::ClientGone,
            () = worker.stopped.cancelled() => {
                pump::End::Stopped("this frontdoor is being stopped".to_owned())
            }
            () = self.client.revoked.cancelled() => {
                pump::End::Revoked(format!("{}; this session is ended", recheck::REASON))
            }
        };
        worker.metrics.sessions_active.dec();
        tracing::info!(outcome = end.word(), "session ends");
        worker.metrics.sessions.count(Action::Exec, end.word());
        record.ended(end.word(), end.status(), end.line());
        // Before the client hears of the end: it may begin the next at once.
        drop(place);
        match end {
            pump::End::Exited(status) => {
                let _ = write.exit_status(status).await;
            }
            pump::End::ClientGone => {}
            pump::End::Idle(line) | pump::End::Revoked(line) => self.fail(&line, write).await,
            pump::End::Failed(line) | pump::End::Stopped(line) => {
                tracing::warn!(line, "session failed");
                self.fail(&line, write).await;
            }
        }
    }

    /// Tells the user why there is no session, or no more. Whether the client still takes it, is its
    /// own affair.
    async fn fail(&self, line: &str, write: &ChannelWriteHalf<Msg>) {
        let tell = write.extended_data_bytes(pump::STDERR, format!("podgate: {line}\r\n"));
        tokio::select! {
            _ = timeout(LAST_WORDS, tell) => {}
            () = self.closed.cancelled() => return,
        }
        let _ = write.exit_status(FAILED).await;
    }
}

/// Reads requests up to the one that starts something; `None` if the channel ends before.
async fn gather(
    read: &mut ChannelReadHalf,
    client: &Client,
    restrictions: &Restrictions,
) -> Option<Exec> {
    let mut exec = Exec::default();
    let mut left = MAX_ENVIRONMENT;
    loop {
        match read.wait().await? {
            ChannelMsg::RequestPty {
                term,
                col_width,
                row_height,
                terminal_modes,
                ..
            } if restrictions.pty => {
                exec.terminal = Some(Terminal {
                    term: if term.len() <= MAX_TERM {
                        term
                    } else {
                        String::new()
                    },
                    size: Some(TerminalSize {
                        columns: col_width,
                        rows: row_height,
                    }),
                    modes: terminal_modes.into_iter().filter_map(mode).collect(),
                });
            }
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                ..
            } => {
                if let Some(terminal) = &mut exec.terminal {
                    terminal.size = Some(TerminalSize {
                        columns: col_width,
                        rows: row_height,
                    });
                }
            }
            ChannelMsg::SetEnv {
                variable_name: name,
                variable_value: value,
                ..
            } => {
                let size = name.len() + value.len() + 2;
                if client.worker.sessions.accepts(&name) && size <= left {
                    left -= size;
                    exec.environment.push(EnvironmentVariable { name, value });
                }
            }
            ChannelMsg::RequestShell { .. } => {
                let login = client.worker.sessions.login_shell;
                exec.program = Some(Program::Shell(Shell { login }));
                return Some(exec);
            }
            ChannelMsg::Exec { command, .. } => {
                exec.program = Some(Program::Command(command.into()));
                return Some(exec);
            }
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// The variable in which a forced command finds what the client asked for.
const ORIGINAL_COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// Puts a forced command in the place of what was asked for, a shell or a command (sshd(8), command=).
fn force(command: &str, exec: &mut Exec) -> Result<(), &'static str> {
    let asked = exec
        .program
        .replace(Program::Command(command.to_owned().into()));
    let environment = &mut exec.environment;
    environment.retain(|variable| variable.name != ORIGINAL_COMMAND);
    if let Some(Program::Command(asked)) = asked {
        let Ok(value) = String::from_utf8(asked.into()) else {
            return Err(
                "the command is not UTF-8, which this login's forced command cannot be given",
            );
        };
        let name = ORIGINAL_COMMAND.to_owned();
        environment.push(EnvironmentVariable { name, value });
    }
    Ok(())
}

fn mode((code, argument): (Pty, u32)) -> Option<TerminalMode> {
    (code != Pty::TTY_OP_END).then_some(TerminalMode {
        opcode: code as u32,
        argument,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_command_finds_what_was_asked_for() {
        let check = |asked: Program, expect: Result<&[&str], &'static str>| {
            let variable = |name: &str| EnvironmentVariable {
                name: name.to_owned(),
                value: "sent".to_owned(),
            };
            let mut exec = Exec {
                program: Some(asked),
                environment: vec![variable(ORIGINAL_COMMAND), variable("LANG")],
                ..Exec::default()
            };
            let forced = force("backup", &mut exec).map(|()| {
                let words = exec.environment.iter();
                words.map(|v| format!("{}={}", v.name, v.value)).collect()
            });
            // Whatever becomes of it, nothing else would run.
            assert_eq!(exec.program, Some(Program::Command("backup".into())));
            let expect = expect.map(|words| words.iter().map(|&w| w.to_owned()).collect());
            assert_eq!(forced, expect as Result<Vec<String>, _>);
        };
        let command = |bytes: &[u8]| Program::Command(bytes.to_vec().into());
        check(Program::Shell(Shell { login: true }), Ok(&["LANG=sent"]));
        check(
            command(b"ls 'a b'"),
            Ok(&["LANG=sent", "SSH_ORIGINAL_COMMAND=ls 'a b'"]),
        );
        check(
            command(b"\xff"),
            Err("the command is not UTF-8, which this login's forced command cannot be given"),
        );
    }
}
