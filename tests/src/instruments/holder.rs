//! An agent's side of the node entry: it holds programs and looks at each of their descriptors.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use podgate_node_entry::channel::Channel;
use podgate_node_entry::ids::Handle;
use podgate_node_entry::launch::{Folder as Where, Launch, Program as What};
use podgate_node_entry::protocol::{
    Action, Answer, Folder, Message, Process, Request, Signal, Start, Streams, VERSION,
};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::{GO, MAX_REPORT, Ready, Report};
use podgate_node_entry::status::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::real::containerd::RunningPod;

/// For any answer.
const TIME: Duration = Duration::from_secs(30);

/// A connection to an entry.
pub struct Holder {
    channel: Channel,
    number: u64,
    ends: VecDeque<(Handle, Option<Status>)>,
    /// The programs of [`connect`](Self::connect) that the entry has taken over.
    pub taken_over: Vec<Handle>,
}

/// A program that was started, with what its agent has of it.
pub struct Program {
    /// For further requests.
    pub handle: Handle,
    /// Its first process.
    pub process: Process,
    /// That process.
    pub pidfd: OwnedFd,
    /// The launcher's socket.
    pub control: OwnedFd,
    /// What the launcher has said.
    pub ready: Ready,
    /// Without a terminal.
    pub stdin: Option<PipeWriter>,
    /// Without a terminal.
    pub stdout: Option<PipeReader>,
    /// Without a terminal.
    pub stderr: Option<PipeReader>,
    /// With a terminal.
    pub master: Option<File>,
}

/// What a program has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// How it ended.
    pub status: Option<Status>,
    /// Bytes, as written.
    pub stdout: String,
    /// Bytes, as written.
    pub stderr: String,
}

/// A launch of a command for the container's shell.
#[must_use]
pub fn command(text: &str) -> Launch {
    launch(What::Command(text.into()))
}

/// A launch of a program by its words.
#[must_use]
pub fn words(words: &[&str]) -> Launch {
    let arguments: Vec<Vec<u8>> = words.iter().map(|&word| word.into()).collect();
    launch(What::Words {
        path: arguments.first().cloned().unwrap_or_default(),
        arguments,
    })
}

/// A launch with the container's own environment and folder.
#[must_use]
pub fn launch(program: What) -> Launch {
    Launch {
        program,
        environment: Vec::new(),
        folder: Where::Stay,
    }
}

/// A start on pipes in the container `app` of a pod.
///
/// # Errors
/// The pod has no such container.
pub fn of(pod: &RunningPod) -> Result<Start> {
    Ok(Start {
        container: pod.container_id("app")?.to_owned().try_into()?,
        pod: pod.uid.clone().try_into()?,
        name: "app".to_owned().try_into()?,
        user: "ann".to_owned().try_into()?,
        streams: Streams::Pipes,
        folder: Folder::Container,
    })
}

/// The same with a terminal of 80 × 24.
///
/// # Errors
/// As of [`of`].
pub fn with_terminal(pod: &RunningPod) -> Result<Start> {
    let streams = Streams::Terminal {
        columns: 80,
        rows: 24,
    };
    Ok(Start {
        streams,
        ..of(pod)?
    })
}

/// A sealed memfd.
///
/// # Errors
/// The system's.
pub fn sealed(bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = File::from(memfd_create(
        "launch",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

impl Holder {
    /// Connects, holding these programs.
    ///
    /// # Errors
    /// When nothing answers there.
    pub fn connect(socket: &Path, handles: &[Handle]) -> Result<Self> {
        let mut this = Self {
            channel: Channel::connect(socket)?,
            number: 0,
            ends: VecDeque::new(),
            taken_over: Vec::new(),
        };
        let handles = handles.to_vec();
        let hold = Action::Hold {
            version: VERSION,
            handles,
        };
        match this.ask(hold, &[])? {
            (Answer::Held { handles }, _) => this.taken_over = handles,
            other => bail!("{other:?}"),
        }
        Ok(this)
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send(&mut self, action: Action, beside: &[BorrowedFd<'_>]) -> Result<u64> {
        self.number += 1;
        let request = Request {
            number: self.number,
            action,
        };
        self.channel.send(&request, beside)?;
        Ok(self.number)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(
        &mut self,
        action: Action,
        beside: &[BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>)> {
        let number = self.send(action, beside)?;
        self.answer(number)
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When there is none.
    pub fn answer(&mut self, number: u64) -> Result<(Answer, Vec<OwnedFd>)> {
        loop {
            match self.hear()? {
                (Message::Answer { number: of, answer }, beside) if of == number => {
                    return Ok((answer, beside));
                }
                (Message::Ended { handle, status, .. }, _) => self.ends.push_back((handle, status)),
                // Another request's, which nobody asks for any more.
                (Message::Answer { .. }, _) => {}
            }
        }
    }

    fn hear(&self) -> Result<(Message, Vec<OwnedFd>)> {
        wait(&self.channel).context("the entry's answer")?;
        self.channel
            .receive()?
            .context("the entry has closed the connection")
    }

    /// How a program has ended, once it has.
    ///
    /// # Errors
    /// When it does not end.
    pub fn ended(&mut self, of: Handle) -> Result<Option<Status>> {
        loop {
            if let Some(at) = self.ends.iter().position(|(handle, _)| *handle == of) {
                return Ok(self.ends.remove(at).and_then(|(_, status)| status));
            }
            if let (Message::Ended { handle, status, .. }, _) = self.hear()? {
                self.ends.push_back((handle, status));
            }
        }
    }

    /// Starts a program, whose launcher then waits; or says why it was not started.
    ///
    /// # Errors
    /// When the entry does neither.
    pub fn start(&mut self, start: Start, launch: &Launch) -> Result<Result<Program, Reason>> {
        let launch = sealed(&launch.encode()?)?;
        if matches!(start.streams, Streams::Terminal { .. }) {
            let asked = self.ask(Action::Start(start), &[launch.as_fd()])?;
            return program(asked, None);
        }
        let (stdin, writer) = std::io::pipe()?;
        let (out, stdout) = std::io::pipe()?;
        let (err, stderr) = std::io::pipe()?;
        let beside = [
            launch.as_fd(),
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
        ];
        let asked = self.ask(Action::Start(start), &beside)?;
        drop((stdin, stdout, stderr));
        program(asked, Some((writer, out, err)))
    }

    /// Starts a program that must start, and lets it go on.
    ///
    /// # Errors
    /// When it is not started.
    pub fn run(&mut self, start: Start, launch: &Launch) -> Result<Program> {
        let program = self.start(start, launch)??;
        program.go()?;
        Ok(program)
    }

    /// Runs a program on pipes to its end.
    ///
    /// # Errors
    /// When it is not started, or does not end.
    pub fn whole(&mut self, start: Start, launch: &Launch, input: &[u8]) -> Result<Left> {
        let mut program = self.run(start, launch)?;
        let mut stdin = program.stdin.take().context("no pipe")?;
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let left = self.left(program)?;
        // A program need not read all of it.
        let _ = writer.join();
        Ok(left)
    }

    /// All that a program writes, and how it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub fn left(&mut self, mut program: Program) -> Result<Left> {
        let (out, err) = (program.stdout.take(), program.stderr.take());
        let (mut out, mut err) = out.zip(err).context("no pipes")?;
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            err.read_to_end(&mut bytes).map(|_| bytes)
        });
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes)?;
        let stderr = errors
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        let status = self.ended(program.handle)?;
        self.ask(
            Action::Release {
                handle: program.handle,
            },
            &[],
        )?;
        Ok(Left {
            status,
            stdout: String::from_utf8_lossy(&bytes).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// Signals a program; how many processes that reached.
    ///
    /// # Errors
    /// When the entry does not.
    pub fn signal(&mut self, handle: Handle, signal: Signal) -> Result<usize> {
        reached(self.ask(Action::Signal { handle, signal }, &[])?.0)
    }

    /// Hangs a program up; how many processes that reached. Its terminal is closed before.
    ///
    /// # Errors
    /// When the entry does not.
    pub fn hang_up(&mut self, handle: Handle) -> Result<usize> {
        reached(self.ask(Action::HangUp { handle }, &[])?.0)
    }

    /// Gives an entry a copy of the other end of a terminal that an earlier one has opened.
    ///
    /// # Errors
    /// When the entry does not take it.
    pub fn lend(&mut self, handle: Handle, master: &File) -> Result<()> {
        match self.ask(Action::Lend { handle }, &[master.as_fd()])?.0 {
            Answer::Lent => Ok(()),
            other => bail!("{other:?}"),
        }
    }

    /// Kills what is left of a program; how many processes that reached.
    ///
    /// # Errors
    /// When the entry does not.
    pub fn kill(&mut self, handle: Handle) -> Result<usize> {
        reached(self.ask(Action::Kill { handle }, &[])?.0)
    }
}

fn reached(answer: Answer) -> Result<usize> {
    match answer {
        Answer::Reached { processes } => Ok(processes),
        other => bail!("{other:?}"),
    }
}

fn program(
    (answer, beside): (Answer, Vec<OwnedFd>),
    pipes: Option<(PipeWriter, PipeReader, PipeReader)>,
) -> Result<Result<Program, Reason>> {
    let (handle, process) = match answer {
        Answer::Started { handle, process } => (handle, process),
        Answer::Refused { reason } => return Ok(Err(reason)),
        other => bail!("{other:?}"),
    };
    let mut beside = beside.into_iter();
    let (stdin, stdout, stderr) = match pipes {
        Some((stdin, stdout, stderr)) => (Some(stdin), Some(stdout), Some(stderr)),
        None => (None, None, None),
    };
    let mut program = Program {
        handle,
        process,
        pidfd: beside.next().context("no pidfd")?,
        control: beside.next().context("no socket")?,
        ready: Ready::default(),
        master: beside.next().map(File::from),
        stdin,
        stdout,
        stderr,
    };
    ensure!(
        program.master.is_none() == program.stdin.is_some(),
        "a terminal or pipes"
    );
    program.ready = match program.report()? {
        Some(Report::Ready(ready)) => ready,
        other => bail!("the launcher said {other:?}"),
    };
    Ok(Ok(program))
}

impl Program {
    /// Lets the launcher give its place to the program.
    ///
    /// # Errors
    /// When it has ended.
    pub fn go(&self) -> Result<()> {
        send(&self.control, GO, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next report; none once the program has taken the launcher's place, or that has ended.
    ///
    /// # Errors
    /// When it is no report.
    pub fn report(&self) -> Result<Option<Report>> {
        wait(&self.control).context("the launcher's report")?;
        let mut bytes = [0; MAX_REPORT];
        let (read, _) = recv(&self.control, &mut bytes, RecvFlags::empty())?;
        match bytes.get(..read) {
            None | Some([]) => Ok(None),
            Some(report) => Ok(Some(Report::parse(report)?)),
        }
    }

    /// Waits until its first process has ended, as its pidfd says.
    ///
    /// # Errors
    /// When it does not end.
    pub fn gone(&self) -> Result<()> {
        wait(&self.pidfd).context("the program's end")
    }
}

/// Waits until something is readable.
fn wait(what: &impl AsFd) -> Result<()> {
    let time = Timespec::try_from(TIME)?;
    let ready = poll(&mut [PollFd::new(what, PollFlags::IN)], Some(&time))?;
    ensure!(ready > 0, "nothing within {TIME:?}");
    Ok(())
}
