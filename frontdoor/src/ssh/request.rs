//! What a client asks for on a session channel. The requests come through the channel, in order with
//! its data, up to the request that starts something. A subsystem stands for the program that sshd would
//! run, so that a forced command replaces it like any other.

use std::net::SocketAddr;

use podgate_proto::v1::exec::Program;
use podgate_proto::v1::files::Protocol;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{
    self, EnvironmentVariable, Exec, Files, Sftp, Shell, Terminal, TerminalMode, TerminalSize,
};
use russh::{ChannelMsg, ChannelReadHalf, Pty};

use super::scp::Scp;
use crate::authn::restrictions::Restrictions;
use crate::config::Sessions;

/// Bytes of environment that a client may send, names included.
const MAX_ENVIRONMENT: usize = 64 * 1024;
/// Bytes of a terminal's name.
const MAX_TERM: usize = 256;
/// The variable in which a forced command finds what the client asked for.
pub(super) const ORIGINAL_COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// The subsystem that serves files.
pub(super) const SFTP: &str = "sftp";
/// What sshd calls its own server of them (sshd_config(5), Subsystem and ForceCommand).
const INTERNAL_SFTP: &str = "internal-sftp";

/// What a client asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) exec: Exec,
    /// Whether the program stands for the subsystem.
    sftp: bool,
}

/// Reads requests up to the one that starts something; `None` if the channel ends before that.
pub(super) async fn gather(
    read: &mut ChannelReadHalf,
    sessions: &Sessions,
    restrictions: &Restrictions,
) -> Option<Asked> {
    let mut asked = Asked::default();
    let exec = &mut asked.exec;
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
                    term: if is_term(&term) { term } else { String::new() },
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
                if sessions.takes(&name, &value) && size <= left {
                    left -= size;
                    exec.environment.push(EnvironmentVariable { name, value });
                }
            }
            ChannelMsg::RequestShell { .. } => {
                let login = sessions.login_shell;
                exec.program = Some(Program::Shell(Shell { login }));
                return Some(asked);
            }
            ChannelMsg::Exec { command, .. } => {
                exec.program = Some(Program::Command(command.into()));
                return Some(asked);
            }
            ChannelMsg::RequestSubsystem { name, .. } if name == SFTP => {
                exec.program = Some(Program::Command(INTERNAL_SFTP.into()));
                asked.sftp = true;
                return Some(asked);
            }
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// Whether a program can be given this as TERM. If not, the session has a terminal without a name.
fn is_term(term: &str) -> bool {
    term.len() <= MAX_TERM && !term.contains('\0')
}

fn mode((code, argument): (Pty, u32)) -> Option<TerminalMode> {
    (code != Pty::TTY_OP_END).then_some(TerminalMode {
        opcode: code as u32,
        argument,
    })
}

impl Asked {
    /// The action that it comes to. What has a terminal is a program. `draft_links` is what SFTP's request does
    /// not say.
    pub(super) fn into_action(self, draft_links: bool) -> Action {
        let protocol = match &self.exec.program {
            Some(Program::Command(_)) if self.sftp => Some(Protocol::Sftp(Sftp { draft_links })),
            Some(Program::Command(command)) if self.exec.terminal.is_none() => {
                Scp::read(command).map(|scp| Protocol::Scp(message(scp)))
            }
            _ => None,
        };
        match protocol {
            Some(protocol) => Action::Files(Files {
                protocol: Some(protocol),
            }),
            None => Action::Exec(self.exec),
        }
    }

    /// Replaces what the client asks for by a forced command, as [`force`] does. `internal-sftp` allows
    /// the subsystem alone, as in sshd.
    pub(super) fn force(&mut self, command: &str) -> Result<(), &'static str> {
        match (command, std::mem::take(&mut self.sftp)) {
            (INTERNAL_SFTP, true) => {
                self.sftp = true;
                Ok(())
            }
            (INTERNAL_SFTP, false) => {
                self.exec.program = Some(Program::Command(INTERNAL_SFTP.into()));
                Err("this login allows nothing but SFTP")
            }
            _ => force(command, &mut self.exec),
        }
    }
}

fn message(scp: Scp) -> v1::Scp {
    v1::Scp {
        receive: scp.receive,
        recursive: scp.recursive,
        preserve: scp.preserve,
        into_folder: scp.into_folder,
        paths: scp.paths.into_iter().map(Into::into).collect(),
    }
}

/// Replaces the client's shell or command by a forced command (sshd(8), command=), which finds the
/// original in a variable. An error is the line for the user; `exec` has the forced command even then.
fn force(command: &str, exec: &mut Exec) -> Result<(), &'static str> {
    let forced = Program::Command(command.to_owned().into());
    let asked = exec.program.replace(forced);
    let environment = &mut exec.environment;
    environment.retain(|variable| variable.name != ORIGINAL_COMMAND);
    if let Some(Program::Command(asked)) = asked {
        let Ok(value) = String::from_utf8(asked.into()) else {
            return Err(
                "the command is not UTF-8, so it cannot be passed to this login's forced command",
            );
        };
        let name = ORIGINAL_COMMAND.to_owned();
        environment.push(EnvironmentVariable { name, value });
    }
    Ok(())
}

/// The command that an action runs, if it runs one.
pub(super) fn command(action: &Action) -> Option<String> {
    match action {
        Action::Exec(Exec {
            program: Some(Program::Command(command)),
            ..
        }) => Some(String::from_utf8_lossy(command).into_owned()),
        _ => None,
    }
}

/// Adds the variables by which sshd tells a program of its connection. Debian's bash reads ~/.bashrc
/// for a command only if it finds SSH_CLIENT.
pub(super) fn tell_connection(exec: &mut Exec, client: SocketAddr, server: SocketAddr) {
    let (from, from_port) = (client.ip().to_canonical(), client.port());
    let (to, to_port) = (server.ip().to_canonical(), server.port());
    for (name, value) in [
        ("SSH_CLIENT", format!("{from} {from_port} {to_port}")),
        (
            "SSH_CONNECTION",
            format!("{from} {from_port} {to} {to_port}"),
        ),
    ] {
        let name = name.to_owned();
        exec.environment.retain(|variable| variable.name != name);
        exec.environment.push(EnvironmentVariable { name, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_its_connection() {
        let made_up = EnvironmentVariable {
            name: "SSH_CLIENT".to_owned(),
            value: "a lie".to_owned(),
        };
        let mut exec = Exec {
            environment: vec![made_up],
            ..Exec::default()
        };
        let (client, server) = ("[::ffff:192.0.2.7]:49153", "[2001:db8::1]:22");
        tell_connection(&mut exec, client.parse().unwrap(), server.parse().unwrap());
        let words = exec.environment.iter();
        let words: Vec<_> = words.map(|v| format!("{}={}", v.name, v.value)).collect();
        let expect = [
            "SSH_CLIENT=192.0.2.7 49153 22",
            "SSH_CONNECTION=192.0.2.7 49153 2001:db8::1 22",
        ];
        assert_eq!(words, expect);
    }

    #[test]
    fn a_terminal_has_a_name_that_a_program_can_be_given() {
        let long = "x".repeat(MAX_TERM + 1);
        for (term, expect) in [("xterm", true), ("", true), ("x\0y", false), (&long, false)] {
            assert_eq!(is_term(term), expect, "{term:?}");
        }
    }

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
            // Even after an error, only the forced command could run.
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
            Err("the command is not UTF-8, so it cannot be passed to this login's forced command"),
        );
    }

    #[test]
    fn a_request_for_files_is_told_from_a_program() {
        let command = |text: &str| Exec {
            program: Some(Program::Command(text.to_owned().into())),
            ..Exec::default()
        };
        let check = |exec: Exec, sftp: bool, forced: Option<&str>, expect: Result<&str, &str>| {
            let mut asked = Asked { exec, sftp };
            let forced = forced.map_or(Ok(()), |command| asked.force(command));
            let kind = match asked.into_action(false) {
                Action::Exec(_) => "exec",
                Action::Files(files) => match files.protocol {
                    Some(Protocol::Sftp(_)) => "sftp",
                    Some(Protocol::Scp(scp)) if scp.receive => "scp -t",
                    Some(Protocol::Scp(_)) => "scp -f",
                    None => "nothing",
                },
                _ => "another",
            };
            assert_eq!(forced.map(|()| kind), expect);
        };
        check(command("internal-sftp"), true, None, Ok("sftp"));
        check(command("internal-sftp"), false, None, Ok("exec"));
        check(command("scp -t ."), false, None, Ok("scp -t"));
        let terminal = Exec {
            terminal: Some(Terminal::default()),
            ..command("scp -t .")
        };
        check(terminal, false, None, Ok("exec"));
        // A forced command replaces the subsystem, too, and may be either.
        check(command("internal-sftp"), true, Some("id"), Ok("exec"));
        check(command("id"), false, Some("scp -f /data"), Ok("scp -f"));
        check(
            command("internal-sftp"),
            true,
            Some("internal-sftp"),
            Ok("sftp"),
        );
        let only = Err("this login allows nothing but SFTP");
        check(command("id"), false, Some("internal-sftp"), only);
        check(command("scp -t ."), false, Some("internal-sftp"), only);
    }
}
