//! The wrapper as real shells of this machine run it: whatever `sh` means to a container.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use podgate_proto::v1::{EnvironmentVariable, Shell};

use super::*;
use crate::command::MAX_COMMAND;

const SESSION: &str = "0123456789abcdef0123456789abcdef";
/// What a container's sh may be. busybox is installed by `tests/all`.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

fn exec(command: &[u8]) -> Exec {
    Exec {
        program: Some(Program::Command(command.to_vec().into())),
        ..Exec::default()
    }
}

fn refused(exec: &Exec) -> Error {
    wrap(SESSION, exec, WorkingDirectory::Home, "sh").unwrap_err()
}

/// Runs a wrapped program in each shell, and gives what it printed behind the ready marker.
fn each_shell(exec: &Exec, stdin: &[u8], check: impl Fn(&str, Output, Vec<u8>)) {
    let wrapped = wrap(SESSION, exec, WorkingDirectory::Home, "sh").unwrap();
    for shell in SHELLS {
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .args(&wrapped.argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let mut output = child.wait_with_output().unwrap();
        let out = output
            .stdout
            .strip_prefix(wrapped.ready.as_bytes())
            .unwrap_or_else(|| {
                panic!(
                    "{shell:?} was not ready first: {}",
                    String::from_utf8_lossy(&output.stdout)
                )
            });
        let end = out.iter().position(|&byte| byte == 2).unwrap();
        let stat = String::from_utf8(out[..end].to_vec()).unwrap();
        assert!(
            stat.split(") ").nth(1).is_some(),
            "{shell:?}: no stat line in {stat:?}"
        );
        let rest = out[end + 1..].to_vec();
        let Some(Ending::OnStderr { words, done }) = &wrapped.ending else {
            panic!("{:?}", wrapped.ending);
        };
        let status = format!("{:03}\u{2}", output.status.code().unwrap()).into_bytes();
        let said = [&words[..], &status[..], &done[..], &status[..]].concat();
        let stderr = output.stderr.strip_suffix(&said[..]);
        output.stderr = stderr
            .unwrap_or_else(|| panic!("{shell:?} did not say that it ended"))
            .to_vec();
        check(shell.last().unwrap(), output, rest);
    }
}

#[test]
fn a_command_keeps_its_status_streams_and_input() {
    each_shell(
        &exec(b"cat; echo err >&2; exit 7"),
        b"in\n",
        |shell, output, out| {
            assert_eq!(output.status.code(), Some(7), "{shell}");
            assert_eq!(
                (out.as_slice(), output.stderr.as_slice()),
                (&b"in\n"[..], &b"err\n"[..])
            );
        },
    );
}

#[test]
fn a_command_killed_by_a_signal_reports_it() {
    for (signal, code) in [
        ("HUP", 129),
        ("INT", 130),
        ("KILL", 137),
        ("USR1", 138),
        ("TERM", 143),
    ] {
        each_shell(
            &exec(format!("kill -{signal} $$").as_bytes()),
            b"",
            |shell, output, _| {
                assert_eq!(output.status.code(), Some(code), "{shell}: SIG{signal}");
                assert_eq!(
                    String::from_utf8_lossy(&output.stderr),
                    "",
                    "{shell}: SIG{signal}"
                );
            },
        );
    }
}

#[test]
fn a_command_is_not_seen_to_be_wrapped() {
    let command = b"echo \"$0 $# $-\"; trap; trap 'echo caught' TERM; kill -TERM $$; exit 3";
    each_shell(&exec(command), b"", |shell, output, out| {
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        // The user's own shell, by its name.
        let (name, rest) = lines[0].split_once(' ').unwrap();
        assert!(!name.contains('/'), "{shell}: {out}");
        assert!(rest.starts_with("0 "), "{shell}: {out}");
        assert_eq!(lines[1..], ["caught"], "{shell}: {out}");
        assert_eq!(output.status.code(), Some(3), "{shell}");
    });
}

#[test]
fn bytes_that_are_not_utf8_reach_the_shell() {
    let mut command = b"printf '%s' '".to_vec();
    let payload: Vec<u8> = (1..=255)
        .filter(|&b| b != b'\'')
        .cycle()
        .take(60_000)
        .collect();
    command.extend_from_slice(&payload);
    command.extend_from_slice(b"\n\n\n'");
    each_shell(&exec(&command), b"", |shell, output, out| {
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(
            out.strip_suffix(b"\n\n\n").unwrap() == payload,
            "{shell}: {} bytes",
            out.len()
        );
    });
}

#[test]
fn a_command_of_100_kib_runs_and_one_beyond_the_kernel_is_refused() {
    let mut long = vec![b' '; 100 * 1024];
    long.extend_from_slice(b"echo long");
    each_shell(&exec(&long), b"", |shell, _, out| {
        assert_eq!(out, b"long\n", "{shell}")
    });
    let size = MAX_COMMAND + 1;
    assert_eq!(refused(&exec(&vec![b' '; size])), Error::TooLong(size));
    assert_eq!(refused(&exec(b"a\0b")), Error::Nul);
}

#[test]
fn the_environment_is_the_clients_and_nothing_can_be_smuggled_in() {
    let variable = |name: &str, value: &str| EnvironmentVariable {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut request = exec(b"printf '%s|%s|%s' \"$LC_ALL\" \"$LANG\" \"$PODGATE_SESSION\"");
    request.environment = vec![variable("LC_ALL", "--"), variable("LANG", "a 'b' $(c)\n;d")];
    each_shell(&request, b"", |shell, _, out| {
        let expect = format!("--|a 'b' $(c)\n;d|{SESSION}");
        assert_eq!(String::from_utf8_lossy(&out), expect, "{shell}");
    });
    for name in ["", "1A", "A-B", "A=B", "A B"] {
        request.environment = vec![variable(name, "x")];
        assert_eq!(refused(&request), Error::Variable(name.to_owned()));
    }
}

#[test]
fn a_shell_without_a_terminal_reads_its_commands() {
    let request = Exec {
        program: Some(Program::Shell(Shell { login: false })),
        ..Exec::default()
    };
    each_shell(
        &request,
        b"echo $((6*7))\nexit 4\n",
        |shell, output, out| {
            assert_eq!(out, b"42\n", "{shell}");
            assert_eq!(output.status.code(), Some(4), "{shell}");
        },
    );
}

#[test]
fn pieces_that_begin_with_a_dash_are_no_options() {
    let mut command = b"printf %s \xff".to_vec();
    command.resize(MAX_ARGUMENT / 4, b'x');
    command.extend_from_slice(b"-n --end");
    each_shell(&exec(&command), b"", |shell, output, out| {
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(out.ends_with(b"x-n--end"), "{shell}");
    });
}

#[test]
fn nothing_of_the_wrapper_bears_the_commands_words() {
    let command =
        b"tr '\\0' ' ' </proc/$PPID/cmdline; echo; tr '\\0' '\\n' </proc/self/environ; : quark";
    each_shell(&exec(command), b"", |shell, _, out| {
        let out = String::from_utf8_lossy(&out);
        let (parent, environment) = out.split_once('\n').unwrap();
        assert!(
            parent.contains(&format!("podgate:{SESSION}")),
            "{shell}: {parent}"
        );
        assert!(!out.contains("quark"), "{shell}: {out}");
        assert!(!environment.contains("__"), "{shell}: {out}");
    });
}

#[test]
fn a_lone_command_takes_the_shells_place() {
    each_shell(
        &exec(b"cat /proc/self/status"),
        b"",
        |shell, output, out| {
            let out = String::from_utf8_lossy(&out);
            let parent = out.lines().find_map(|line| line.strip_prefix("PPid:\t"));
            let stat = String::from_utf8_lossy(&output.stdout);
            let leader = stat.split([':', ' ']).nth(2);
            assert_eq!(parent, leader, "{shell}: {stat}");
        },
    );
}

#[test]
fn nothing_is_started_in_front_of_a_command_but_its_parent() {
    let wrapped = wrap(
        SESSION,
        &exec(b"echo $(($$ - $PPID))"),
        WorkingDirectory::Home,
        "sh",
    );
    let wrapped = wrapped.unwrap();
    for shell in SHELLS {
        // Numbers follow each other where nothing else runs.
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
        ]);
        let output = command
            .args(shell)
            .args(&wrapped.argv[1..])
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.ends_with("\u{2}1\n"), "{shell:?}: {output:?}");
    }
}

#[test]
fn a_program_starts_in_the_home_of_a_known_user() {
    let home = std::env::var("HOME").unwrap();
    let here = std::env::current_dir().unwrap().display().to_string();
    let request = exec(b"pwd; echo $OLDPWD$SHLVL; echo $USER=$LOGNAME; [ -x \"$SHELL\"]");
    for (folder, expect) in [
        (WorkingDirectory::Home, home),
        (WorkingDirectory::Image, here),
    ] {
        for shell in SHELLS {
            let wrapped = wrap(SESSION, &request, folder, "sh").unwrap();
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).args(&wrapped.argv[1..]);
            let output = command.env("SHLVL", "7").output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout);
            let (_, out) = out.split_once('\u{2}').unwrap();
            let lines: Vec<_> = out.lines().collect();
            assert_eq!(lines[0], expect, "{shell:?}");
            assert!(["", "0", "1"].contains(&lines[1]), "{shell:?}: {out}");
            let (user, name) = lines[2].split_once('=').unwrap();
            assert!(user == name && !user.is_empty(), "{shell:?}: {out}");
        }
    }
}
