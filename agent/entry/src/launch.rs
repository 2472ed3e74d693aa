//! What the launcher does, as the agent writes it into a sealed memfd: program, environment and folder
//! in bytes, because the runtime's own description is JSON and cannot carry all of them.
//!
//! A launch is a list of strings, each ended by a NUL. The first names the format; each other begins
//! with a letter that says what the rest is.

/// Bytes of a launch, at the most: more than the kernel takes of arguments and environment (execve(2)).
pub const MAX_LAUNCH: usize = 4 * 1024 * 1024;
/// The format's name.
const FORMAT: &[u8] = b"podgate-launch-1";

/// What to start, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: Program,
    /// `NAME=VALUE`; each goes before the container's own.
    pub environment: Vec<Vec<u8>>,
    /// Where it starts.
    pub folder: Folder,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The user's shell as a login shell.
    Login,
    /// The user's shell.
    Shell,
    /// A command for the user's shell.
    Command(Vec<u8>),
    /// A program by its path, or by its name in PATH.
    Words {
        /// The path.
        path: Vec<u8>,
        /// Its arguments; the first is what it is told of its own name.
        arguments: Vec<Vec<u8>>,
    },
    /// Podgate's own worker, which the entry gives the launcher, with these arguments.
    Worker(Vec<Vec<u8>>),
}

/// A folder to start in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// The container's own, or what the runtime was told.
    Stay,
    /// The user's home, where there is one.
    Home,
    /// This one.
    Path(Vec<u8>),
}

/// Not a launch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("a launch has at most {MAX_LAUNCH} bytes")]
    TooLong,
    #[error("it holds a NUL byte")]
    Nul,
    #[error("it is of another format")]
    Format,
    #[error("it names no program, or more than one")]
    Program,
}

impl Launch {
    /// The bytes for the memfd.
    ///
    /// # Errors
    /// When a string holds a NUL, or all is too long.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut strings = vec![FORMAT.to_vec()];
        let mut add = |letter: u8, rest: &[u8]| strings.push([&[letter], rest].concat());
        match &self.program {
            Program::Login => add(b'l', b""),
            Program::Shell => add(b's', b""),
            Program::Command(command) => add(b'c', command),
            Program::Words { path, arguments } => {
                add(b'x', path);
                arguments.iter().for_each(|word| add(b'a', word));
            }
            Program::Worker(arguments) => {
                add(b'w', b"");
                arguments.iter().for_each(|word| add(b'a', word));
            }
        }
        self.environment.iter().for_each(|pair| add(b'e', pair));
        match &self.folder {
            Folder::Stay => {}
            Folder::Home => add(b'h', b""),
            Folder::Path(path) => add(b'd', path),
        }
        if strings.iter().any(|string| string.contains(&0)) {
            return Err(Error::Nul);
        }
        let mut bytes = Vec::new();
        for string in strings {
            bytes.extend_from_slice(&string);
            bytes.push(0);
        }
        if bytes.len() > MAX_LAUNCH {
            return Err(Error::TooLong);
        }
        Ok(bytes)
    }

    /// From a memfd's bytes.
    ///
    /// # Errors
    /// When they are no launch.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LAUNCH {
            return Err(Error::TooLong);
        }
        let bytes = bytes.strip_suffix(b"\0").ok_or(Error::Format)?;
        let mut strings = bytes.split(|&byte| byte == 0);
        if strings.next() != Some(FORMAT) {
            return Err(Error::Format);
        }
        let mut program = None;
        let (mut words, mut environment, mut folder) = (Vec::new(), Vec::new(), Folder::Stay);
        for string in strings {
            let (letter, rest) = string.split_first().ok_or(Error::Format)?;
            let rest = rest.to_vec();
            let named = match letter {
                b'l' => Some(Program::Login),
                b's' => Some(Program::Shell),
                b'c' => Some(Program::Command(rest)),
                b'w' => Some(Program::Worker(Vec::new())),
                b'x' => Some(Program::Words {
                    path: rest,
                    arguments: Vec::new(),
                }),
                b'a' => {
                    words.push(rest);
                    None
                }
                b'e' => {
                    environment.push(rest);
                    None
                }
                b'h' | b'd' => {
                    folder = match letter {
                        b'h' => Folder::Home,
                        _ => Folder::Path(rest),
                    };
                    None
                }
                _ => return Err(Error::Format),
            };
            if named.is_some() && program.is_some() {
                return Err(Error::Program);
            }
            program = program.or(named);
        }
        let program = match program {
            Some(Program::Words { path, .. }) if !words.is_empty() => Program::Words {
                path,
                arguments: words,
            },
            Some(Program::Worker(_)) => Program::Worker(words),
            Some(Program::Words { .. }) | None => return Err(Error::Program),
            Some(_) if !words.is_empty() => return Err(Error::Program),
            Some(program) => program,
        };
        Ok(Self {
            program,
            environment,
            folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(program: Program) -> Launch {
        Launch {
            program,
            environment: vec![b"A=\xff\n".to_vec(), b"B=".to_vec()],
            folder: Folder::Path(b"/srv/\xfe".to_vec()),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let words = Program::Words {
            path: b"/bin/bash".to_vec(),
            arguments: vec![b"-bash".to_vec(), b"".to_vec(), b"\xff".to_vec()],
        };
        let worker = Program::Worker(vec![b"sftp".to_vec(), b"".to_vec()]);
        let command = Program::Command(b"a\nb".to_vec());
        for program in [Program::Login, Program::Shell, command, words, worker] {
            for folder in [Folder::Stay, Folder::Home, Folder::Path(b"/".to_vec())] {
                let mut launch = launch(program.clone());
                launch.folder = folder;
                assert_eq!(Launch::parse(&launch.encode().unwrap()), Ok(launch));
            }
        }
    }

    #[test]
    fn what_is_no_launch_is_refused() {
        let nul = launch(Program::Command(b"a\0b".to_vec()));
        assert_eq!(nul.encode(), Err(Error::Nul));
        let long = launch(Program::Command(vec![b'a'; MAX_LAUNCH]));
        assert_eq!(long.encode(), Err(Error::TooLong));
        let check = |text: &[u8], expect: Error| {
            assert_eq!(Launch::parse(text), Err(expect), "{text:?}");
        };
        check(b"", Error::Format);
        check(b"podgate-launch-2\0l\0", Error::Format);
        check(b"podgate-launch-1\0l", Error::Format);
        check(b"podgate-launch-1\0\0", Error::Format);
        check(b"podgate-launch-1\0z\0", Error::Format);
        check(b"podgate-launch-1\0", Error::Program);
        check(b"podgate-launch-1\0l\0cx\0", Error::Program);
        check(b"podgate-launch-1\0x/bin/sh\0", Error::Program);
        check(b"podgate-launch-1\0l\0aword\0", Error::Program);
    }
}
