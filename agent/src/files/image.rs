//! The image's own sftp-server or scp as a command for the image's shell. It ends with status 127 and
//! without output where there is none.

use podgate_proto::v1::exec::Program;
use podgate_proto::v1::{Exec, Scp};

use super::request::Service;

/// Finds sftp-server where distributions put it (Debian; Alpine, Arch and SUSE; Fedora; SUSE; OpenSSH
/// itself; dropbear's users), then in PATH.
const SFTP: &str = "\
for d in lib/openssh lib/ssh libexec/openssh libexec/ssh libexec lib; do
[ ! -x /usr/$d/sftp-server ] || exec /usr/$d/sftp-server
done
command -v sftp-server >/dev/null 2>&1 || exit 127
exec sftp-server";

/// Finds scp.
const SCP: &str = "command -v scp >/dev/null 2>&1 || exit 127\nexec scp";

/// The program that serves files. The user's own shell may read no scripts of sh, so it starts one that
/// does.
pub(crate) fn program(service: &Service) -> Exec {
    let script = match service {
        Service::Sftp(_) => SFTP.as_bytes().to_vec(),
        Service::Scp(scp) => command(scp),
    };
    let command = [b"exec sh -c ", quote(&script).as_slice()].concat();
    Exec {
        program: Some(Program::Command(command.into())),
        ..Exec::default()
    }
}

fn command(scp: &Scp) -> Vec<u8> {
    let mut command = SCP.as_bytes().to_vec();
    for (flag, set) in [
        (" -r", scp.recursive),
        (" -p", scp.preserve),
        (" -d", scp.into_folder),
    ] {
        command.extend_from_slice(if set { flag.as_bytes() } else { b"" });
    }
    command.extend_from_slice(if scp.receive { b" -t --" } else { b" -f --" });
    for path in &scp.paths {
        command.push(b' ');
        command.extend(word(path));
    }
    command
}

/// A pattern of the link as a word of a shell.
fn word(pattern: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(pattern.len() + 2);
    let mut literal = Vec::new();
    let mut bytes = pattern.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => literal.push(bytes.next().unwrap_or(b'\\')),
            // With their meaning. Nothing else that a shell could act on has one in a pattern.
            b'*' | b'?' | b'[' | b']' | b'!' | b'^' | b'-' | b'~' | b'/' | b'.' | b'_' => {
                flush(&mut literal, &mut word);
                word.push(byte);
            }
            byte if byte.is_ascii_alphanumeric() => {
                flush(&mut literal, &mut word);
                word.push(byte);
            }
            byte => literal.push(byte),
        }
    }
    flush(&mut literal, &mut word);
    match word.is_empty() {
        true => b"''".to_vec(),
        false => word,
    }
}

fn flush(literal: &mut Vec<u8>, word: &mut Vec<u8>) {
    if !literal.is_empty() {
        word.extend(quote(literal));
        literal.clear();
    }
}

/// In single quotes.
fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pattern_keeps_its_meaning() {
        let check = |pattern: &str, expect: &str| {
            assert_eq!(word(pattern.as_bytes()), expect.as_bytes(), "{pattern:?}");
        };
        check("/srv/*.t?t", "/srv/*.t?t");
        check("~/a", "~/a");
        check(r"\~\/\a", "'~/a'");
        check(r"a\*b", "a'*'b");
        check(r"\a\'\b", r"'a'\''b'");
        check("", "''");
        check("\\", r"'\'");
        // None of these comes from a frontdoor of ours.
        check("$(id);`id`&|<>{a,b}#\n", "'$('id');`'id'`&|<>{'a','b'}#\n'");
    }

    #[test]
    fn a_shell_reads_the_same_words() {
        let names = [
            "a b",
            "it's",
            "new\nline",
            "*",
            "$HOME",
            "-x",
            "~",
            "\\",
            "",
        ];
        let words = names.map(|name| {
            let escaped = name.chars().flat_map(|char| ['\\', char]);
            String::from_utf8(word(escaped.collect::<String>().as_bytes())).unwrap()
        });
        let script = format!("printf '%s\\0' {}", words.join(" "));
        // As a command for a shell, in another one's.
        let script = format!(
            "exec sh -c {}",
            String::from_utf8(quote(script.as_bytes())).unwrap()
        );
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        let read = read.strip_suffix('\0').unwrap();
        assert_eq!(read.split('\0').collect::<Vec<_>>(), names);
    }

    #[test]
    fn options_are_passed_on() {
        let scp = Scp {
            receive: true,
            recursive: true,
            into_folder: true,
            paths: vec![b"/srv".as_slice().into()],
            ..Scp::default()
        };
        let command = String::from_utf8(command(&scp)).unwrap();
        assert!(command.ends_with("exec scp -r -d -t -- /srv"), "{command}");
    }
}
