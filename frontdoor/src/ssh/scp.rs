//! Recognises the command with which a client of scp starts its peer (`scp -t -- 'a b'`), and reads its
//! words as a shell does. Whatever else a shell could make of a command, it is none of these. Pure.

/// What scp's client asks of its peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scp {
    /// -t: the files come from the client.
    pub(super) receive: bool,
    /// -r
    pub(super) recursive: bool,
    /// -p
    pub(super) preserve: bool,
    /// -d
    pub(super) into_folder: bool,
    /// Patterns, as the link has them.
    pub(super) paths: Vec<Vec<u8>>,
}

/// A word of a command: a byte, and whether quotes take its meaning.
type Word = Vec<(u8, bool)>;

impl Scp {
    /// Reads a command. `None` if it is any other.
    pub(super) fn read(command: &[u8]) -> Option<Self> {
        let words = split(command)?;
        let (program, mut rest) = words.split_first()?;
        if plain(program) != b"scp" {
            return None;
        }
        let (mut scp, mut send, mut ended) = (Self::default(), false, false);
        while let Some((word, behind)) = rest.split_first() {
            let flags = plain(word);
            let Some(letters) = flags.strip_prefix(b"-").filter(|flags| !flags.is_empty()) else {
                break;
            };
            rest = behind;
            if letters == b"-" {
                ended = true;
                break;
            }
            for letter in letters {
                match letter {
                    b't' => scp.receive = true,
                    b'f' => send = true,
                    b'r' => scp.recursive = true,
                    b'p' => scp.preserve = true,
                    b'd' => scp.into_folder = true,
                    b'v' | b'q' => {}
                    _ => return None,
                }
            }
        }
        // getopt(3) takes an option behind a path for an option, too.
        if !ended && rest.iter().any(|word| plain(word).starts_with(b"-")) {
            return None;
        }
        let fits = match scp.receive {
            true => !send && rest.len() == 1,
            false => send && !rest.is_empty(),
        };
        scp.paths = rest.iter().map(pattern).collect();
        fits.then_some(scp)
    }
}

/// The word's bytes without its quotes.
fn plain(word: &Word) -> Vec<u8> {
    word.iter().map(|(byte, _)| *byte).collect()
}

/// The word with a backslash before each byte that was quoted.
fn pattern(word: &Word) -> Vec<u8> {
    let escape = |(byte, quoted): &(u8, bool)| match quoted {
        true => vec![b'\\', *byte],
        false => vec![*byte],
    };
    word.iter().flat_map(escape).collect()
}

/// Splits a command into words (POSIX.1-2024, Shell Command Language, 2.2 and 2.3). `None` if a shell
/// would do more than that: run a second command, redirect, expand a variable or braces.
fn split(command: &[u8]) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'#' if word.is_none() => return None,
            b'\\' => match bytes.next()? {
                b'\n' => {}
                next => word.get_or_insert_default().push((next, true)),
            },
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        byte => word.push((byte, true)),
                    }
                }
            }
            b'"' => double(&mut bytes, word.get_or_insert_default())?,
            0 | b'\n' | b'$' | b'`' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'{'
            | b'}' => return None,
            byte => word.get_or_insert_default().push((byte, false)),
        }
    }
    words.extend(word);
    Some(words)
}

/// Reads up to the end of double quotes.
fn double(bytes: &mut impl Iterator<Item = u8>, word: &mut Word) -> Option<()> {
    loop {
        match bytes.next()? {
            b'"' => return Some(()),
            0 | b'$' | b'`' => return None,
            b'\\' => match bytes.next()? {
                b'\n' => {}
                next @ (b'$' | b'`' | b'"' | b'\\') => word.push((next, true)),
                0 => return None,
                next => word.extend([(b'\\', true), (next, true)]),
            },
            byte => word.push((byte, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<Vec<u8>> {
        paths.iter().map(|path| path.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_clients_send_is_read() {
        let check = |command: &str, expect: Scp| {
            assert_eq!(Scp::read(command.as_bytes()), Some(expect), "{command:?}");
        };
        let receive = |path| Scp {
            receive: true,
            paths: paths(&[path]),
            ..Scp::default()
        };
        let send = |all: &[&str]| Scp {
            paths: paths(all),
            ..Scp::default()
        };
        // OpenSSH, Terraform, PuTTY.
        check("scp -t -- /tmp", receive("/tmp"));
        check("scp -vt '/t p'", receive(r"\/\t\ \p"));
        check("'scp' \"-t\" .", receive("."));
        check("scp  -q\t-v -t dir ", receive("dir"));
        check("scp -f -- -x", send(&["-x"]));
        check(
            "scp -f a\\ b ~/*.txt '*'",
            send(&["a\\ b", "~/*.txt", "\\*"]),
        );
        check("scp -f \"a\\\"b\\n\"", send(&["\\a\\\"\\b\\\\\\n"]));
        check("scp -f 'a\nb'", send(&["\\a\\\n\\b"]));
        check("scp -f a\\\nb", send(&["ab"]));
        check("scp -f [ab]?x", send(&["[ab]?x"]));
        check("scp -f ''", send(&[""]));
        check("scp -f a#b", send(&["a#b"]));
        check(
            "scp -r -p -d -t x",
            Scp {
                recursive: true,
                preserve: true,
                into_folder: true,
                ..receive("x")
            },
        );
        let bytes = Scp::read(b"scp -f \xff").unwrap();
        assert_eq!(bytes.paths, [b"\xff"]);
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fuzz/corpus/scp_command"
        );
        let read = |name: &str| Scp::read(&std::fs::read(format!("{corpus}/{name}")).unwrap());
        let check = |name: &str, expect: Option<&[&str]>| {
            assert_eq!(read(name).map(|scp| scp.paths), expect.map(paths), "{name}");
        };
        check("receive", Some(&["/tmp"]));
        check("quoted", Some(&[r#"\i\t\'\s\ \"\x\""#]));
        check("patterns", Some(&["~/*.txt", r"a\ b", "[a-z]?"]));
        check("variable", None);
    }

    #[test]
    fn all_else_is_a_command() {
        for command in [
            "",
            "scp",
            "scp -t",
            "scp -f",
            "scp a b:",
            "scp -t a b",
            "scp -t -f a",
            "scp -3 -t a",
            "scp -t a -r",
            "scp -f a -- -b",
            "/usr/bin/scp -t a",
            "A=b scp -t a",
            "exec scp -t a",
            "scp -t a; id",
            "scp -t a && id",
            "scp -f a | cat",
            "scp -f a > b",
            "scp -f $HOME",
            "scp -f \"$HOME\"",
            "scp -f `id`",
            "scp -f \"`id`\"",
            "scp -f $'a'",
            "scp -f {a,b}",
            "scp -f (a)",
            "scp -f a\nid",
            "scp -f 'a",
            "scp -f \"a",
            "scp -f a\\",
            "scp -f a # b",
            "scp -f a\0b",
        ] {
            assert_eq!(Scp::read(command.as_bytes()), None, "{command:?}");
        }
    }
}
