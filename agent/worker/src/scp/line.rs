//! Pure: the lines that describe files.

/// What a client asks for beside its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// -r: folders, too.
    pub(crate) recursive: bool,
    /// -p: times and modes as they were.
    pub(crate) preserve: bool,
    /// -d: the path must be a folder.
    pub(crate) into_folder: bool,
}

/// A line of a sender.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A file of this many bytes follows.
    File {
        mode: u32,
        size: u64,
        name: &'a [u8],
    },
    /// What follows is in this folder, until its end.
    Folder { mode: u32, name: &'a [u8] },
    /// The folder ends.
    End,
    /// The times of what comes next, in seconds since 1970: of the last change, of the last access.
    Times { changed: u32, accessed: u32 },
    /// Something failed at the client, which goes on.
    Warning(&'a [u8]),
    /// Something failed at the client, which does not go on.
    Fatal(&'a [u8]),
}

impl<'a> Line<'a> {
    /// Reads a line, without its end. `None` if it is not valid.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        match kind {
            1 => return Some(Self::Warning(rest)),
            2 => return Some(Self::Fatal(rest)),
            b'E' => return rest.is_empty().then_some(Self::End),
            b'T' => return times(rest),
            _ => {}
        }
        let mut fields = rest.splitn(3, |byte| *byte == b' ');
        let mode = octal(fields.next()?)?;
        let size = number(fields.next()?)?;
        let name = fields.next()?;
        // A name that leads elsewhere is an attack on whoever receives it.
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return None;
        }
        match kind {
            b'C' => Some(Self::File { mode, size, name }),
            b'D' => Some(Self::Folder { mode, name }),
            _ => None,
        }
    }
}

fn times(rest: &[u8]) -> Option<Line<'_>> {
    let fields: Vec<_> = rest.split(|byte| *byte == b' ').collect();
    let [changed, _, accessed, _] = *fields else {
        return None;
    };
    Some(Line::Times {
        changed: number(changed)?.try_into().ok()?,
        accessed: number(accessed)?.try_into().ok()?,
    })
}

fn octal(field: &[u8]) -> Option<u32> {
    let mode = u32::from_str_radix(str::from_utf8(field).ok()?, 8).ok()?;
    (field.len() == 4 && mode <= 0o7777).then_some(mode)
}

fn number(field: &[u8]) -> Option<u64> {
    let digits = !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(field).ok()?.parse().ok())?
}

/// The line of a file or folder.
pub(crate) fn tell(kind: char, mode: u32, size: u64, name: &[u8]) -> Vec<u8> {
    let mut line = format!("{kind}{:04o} {size} ", mode & 0o7777).into_bytes();
    for byte in name {
        match byte {
            // As OpenSSH shows it: a line ends at the first line feed.
            b'\n' => line.extend_from_slice(br"\^J"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let file = Line::File {
            mode: 0o644,
            size: 5,
            name: b"a b\xff",
        };
        let folder = Line::Folder {
            mode: 0o755,
            name: b"d",
        };
        let times = Line::Times {
            changed: 7,
            accessed: 8,
        };
        let cases: [(&[u8], Option<Line<'_>>); 19] = [
            (b"C0644 5 a b\xff", Some(file)),
            (b"D0755 0 d", Some(folder)),
            (b"E", Some(Line::End)),
            (b"T7 0 8 0", Some(times)),
            (b"\x01no", Some(Line::Warning(b"no"))),
            (b"\x02no", Some(Line::Fatal(b"no"))),
            (b"", None),
            (b"Ex", None),
            (b"T7 0 8", None),
            (b"T-7 0 8 0", None),
            (b"C0644 5", None),
            (b"C0644 5 ", None),
            (b"C0644 -5 a", None),
            (b"C644 5 a", None),
            (b"C0948 5 a", None),
            (b"C0644 99999999999999999999 a", None),
            (b"C0644 5 ../a", None),
            (b"D0755 0 ..", None),
            (b"X0644 5 a", None),
        ];
        for (bytes, line) in cases {
            assert_eq!(Line::read(bytes), line, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(tell('C', 0o100_644, 5, b"a\nb"), b"C0644 5 a\\^Jb\n");
    }
}
