//! A client's terminal as arguments for `stty`: its size, and its modes (RFC 4254 §8, RFC 8160).
//! Only modes that both coreutils and busybox know: either gives up at the first that it does not know.

use podgate_proto::v1::{TerminalMode, TerminalSize};

/// `stty` arguments for the size; empty if the client has none (0 means unknown, RFC 4254 §6.2).
pub(super) fn size(size: &TerminalSize) -> String {
    if size.columns == 0 || size.rows == 0 {
        return String::new();
    }
    format!("cols {} rows {}", size.columns, size.rows)
}

/// `stty` arguments for the modes.
pub(super) fn modes(modes: &[TerminalMode]) -> String {
    let words = modes.iter().filter_map(|mode| match name(mode.opcode)? {
        Mode::Character(name) => Some(format!("{name} {}", character(mode.argument))),
        Mode::Flag(name) if mode.argument == 0 => Some(format!("-{name}")),
        Mode::Flag(name) => Some(name.to_owned()),
    });
    words.collect::<Vec<_>>().join(" ")
}

enum Mode {
    Character(&'static str),
    Flag(&'static str),
}

/// Opcodes of RFC 4254 §8. Left out: speeds, which mean nothing on a pty, and DSUSP, SWTCH, STATUS,
/// FLUSH, IUCLC, XCASE, OLCUC and the like, which Linux or one of the two `stty` lacks.
fn name(opcode: u32) -> Option<Mode> {
    use Mode::{Character, Flag};
    Some(match opcode {
        1 => Character("intr"),
        2 => Character("quit"),
        3 => Character("erase"),
        4 => Character("kill"),
        5 => Character("eof"),
        6 => Character("eol"),
        7 => Character("eol2"),
        8 => Character("start"),
        9 => Character("stop"),
        10 => Character("susp"),
        12 => Character("rprnt"),
        13 => Character("werase"),
        14 => Character("lnext"),
        30 => Flag("ignpar"),
        31 => Flag("parmrk"),
        32 => Flag("inpck"),
        33 => Flag("istrip"),
        34 => Flag("inlcr"),
        35 => Flag("igncr"),
        36 => Flag("icrnl"),
        38 => Flag("ixon"),
        39 => Flag("ixany"),
        40 => Flag("ixoff"),
        41 => Flag("imaxbel"),
        42 => Flag("iutf8"),
        50 => Flag("isig"),
        51 => Flag("icanon"),
        53 => Flag("echo"),
        54 => Flag("echoe"),
        55 => Flag("echok"),
        56 => Flag("echonl"),
        57 => Flag("noflsh"),
        58 => Flag("tostop"),
        59 => Flag("iexten"),
        60 => Flag("echoctl"),
        61 => Flag("echoke"),
        70 => Flag("opost"),
        72 => Flag("onlcr"),
        73 => Flag("ocrnl"),
        74 => Flag("onocr"),
        75 => Flag("onlret"),
        _ => return None,
    })
}

/// A control character as both kinds of `stty` read it. They take a single digit for the digit itself, so
/// control characters are written in caret notation. 255 means none (RFC 4254 §8).
fn character(value: u32) -> String {
    match u8::try_from(value) {
        Ok(255) | Err(_) => "undef".to_owned(),
        Ok(127) => "^?".to_owned(),
        Ok(control @ 0..32) => format!("^{}", char::from(control + 64)),
        Ok(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_set_only_where_there_is_one() {
        assert_eq!(
            size(&TerminalSize {
                columns: 132,
                rows: 43
            }),
            "cols 132 rows 43"
        );
        assert_eq!(
            size(&TerminalSize {
                columns: 0,
                rows: 43
            }),
            ""
        );
    }

    #[test]
    fn modes_become_words() {
        let check = |pairs: &[(u32, u32)], expect: &str| {
            let mode = |&(opcode, argument)| TerminalMode { opcode, argument };
            assert_eq!(modes(&pairs.iter().map(mode).collect::<Vec<_>>()), expect);
        };
        check(&[], "");
        check(
            &[(1, 3), (3, 127), (6, 255), (53, 0), (36, 1)],
            "intr ^C erase ^? eol undef -echo icrnl",
        );
        check(
            &[(2, 28), (128, 38400), (37, 1), (1, 0), (1, 200)],
            "quit ^\\ intr ^@ intr 200",
        );
    }
}
