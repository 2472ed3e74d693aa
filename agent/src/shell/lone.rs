//! Tells a lone command, which is one program with its arguments, from everything else that a shell
//! reads. A shell that is given a lone command may become it. Then only the program itself has the
//! command's words in its arguments, and `pkill -f` does not find its own shell. bash and busybox do
//! this by themselves; dash does not.

/// Longer commands are left as they are.
const LONGEST: usize = 4096;

/// Words that dash, busybox's shell or another shell named `sh` runs itself. An `exec` of them would
/// fail, or run another program.
const BUILTINS: [&str; 76] = [
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "continue",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "popd",
    "print",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "whence",
    "while",
    "mapfile",
    "readarray",
];

/// The program of a lone command. A text counts only if it is surely one: no second command, no
/// redirection, no command substitution, no assignment in front, none of a shell's own words.
pub(super) fn program(command: &str) -> Option<&str> {
    if command.len() > LONGEST {
        return None;
    }
    let command = command.trim_matches([' ', '\t']);
    let end = command.find([' ', '\t']).unwrap_or(command.len());
    let (program, arguments) = command.split_at(end);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./+".contains(&b);
    let plain = !program.starts_with('-') && program.bytes().all(plain);
    let named = plain && !program.is_empty() && !BUILTINS.contains(&program);
    (named && is_arguments(arguments)).then_some(program)
}

/// Whether no more than words follow, quoted or not.
fn is_arguments(text: &str) -> bool {
    let mut quote = None;
    for byte in text.bytes() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (Some(b'\''), _) => {}
            // Command substitutions and backslashes may hide anything.
            (_, b'`' | b'\\' | b'(') => return false,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b')') => return false,
            (None, _) => {}
        }
    }
    quote.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_command_is_told_from_the_rest() {
        let check = |command: &str, expect: Option<&str>| {
            assert_eq!(program(command), expect, "{command:?}");
        };
        check("pkill -f 'a b;c' \"d|$e\" *.txt", Some("pkill"));
        check("  ./run\t-x  ", Some("./run"));
        check("sleep 5 # a while", Some("sleep"));
        for command in [
            "",
            "  ",
            "-x",
            "A=1 env",
            "a; b",
            "a && b",
            "a | b",
            "a >f",
            "a <f",
            "a &",
            "a\nb",
            "(a)",
            "a $(b)",
            "a \"$(b)\"",
            "a `b`",
            "a \"`b`\"",
            "a \\\nb",
            "a 'b",
            "'a b' c",
            "$A b",
            "f() { a; }",
            "cd /tmp",
            "true",
            ". ./profile",
        ] {
            check(command, None);
        }
        check(&format!("a {}", "b".repeat(LONGEST)), None);
    }
}
