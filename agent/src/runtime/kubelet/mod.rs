//! The kubelet of this node as a runtime: it starts programs over SPDY/3.1, sub-protocol v4, behind a
//! wrapper, or by their words where the image has no shell.

mod client;
mod config;
mod dial;
mod error;
mod identify;
mod items;
mod pods;
mod port_forward;
mod program;
mod state;
mod terminal;
mod token;
mod trust;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use podgate_process::mtls;
use podgate_proto::v1::Address;
use podgate_proto::v1::exec::Program;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::contract::{NotStarted, Runtime, Start, Started};
use super::dialer::{self, Dialer};
use super::error::{self as legs, Failure, START_TIMEOUT};
use super::running::Running;
use super::trace;
use super::trace::kubelet::{Trace, Words};
use crate::command;
use crate::connection::Connection;
use crate::exec::{self, Input, Output};
use crate::grant::{Deny, Granted};
use crate::shell::launch::{self, PendingStart};
use crate::shell::leader::Leader;
use crate::shell::sh;
use crate::shell::wrapper::{self, Wrapped};
use crate::streams::{self, Streams};
use client::{Client, StartError};
pub(crate) use config::{ClientFiles, Config};
use error::Error;
use podgate_helper::ticks;
use program::{KubeletProgram, container};
pub(crate) use state::NodeState;
use terminal::TerminalInput;
pub(crate) use trust::Trust;

/// How long the kubelet may take to notice that a container is gone whose program was killed: how
/// often it is asked, and the pauses between.
const NOTICE: (usize, Duration) = (7, Duration::from_millis(500));

/// The kubelet of this node, as one core asks it.
#[derive(Debug)]
pub(crate) struct Kubelet {
    client: Arc<Client>,
    node: Arc<NodeState>,
}

impl Kubelet {
    /// Reads the TLS files. Connections are opened ahead on `tasks`, until `stopped`.
    pub(crate) fn start(
        config: Config,
        deny: Deny,
        node: Arc<NodeState>,
        tasks: &TaskTracker,
        stopped: &CancellationToken,
    ) -> Result<Self, StartError> {
        let recent = Arc::clone(&node.lists);
        let client = Arc::new(Client::start(config, deny, recent, tasks, stopped)?);
        Ok(Self { client, node })
    }

    /// Whether the TLS files make a client. Warns where nothing is verified.
    pub(crate) fn check(config: &Config) -> Result<(), mtls::Error> {
        if config.trust == Trust::Anything {
            tracing::warn!(
                address = config.address,
                "the kubelet's certificate is not verified: whoever answers there gets this agent's token"
            );
        }
        dial::client_config(config).map(drop)
    }

    /// Opens an exec of these words.
    async fn open(
        &self,
        start: &Start<'_>,
        argv: &[String],
        deadline: Instant,
    ) -> Result<(Input, Output), Error> {
        let terminal = start.exec.terminal.as_ref();
        timeout_at(deadline, self.client.exec(start.granted, argv, terminal))
            .await
            .unwrap_or(Err(Error::StartTimeout))
    }

    /// Starts a program behind its wrapper; `None` if the image has no such shell.
    async fn start_wrapped(
        &self,
        start: &Start<'_>,
        wrapped: Wrapped,
        deadline: Instant,
    ) -> Option<Result<Started, NotStarted>> {
        let since = Some(ticks::now());
        let leader = None;
        let mut program = self.program(start, Trace::Wrapped { leader, since });
        start.record.record(program.known()).await;
        let (mut input, output) = match self.open(start, &wrapped.argv, deadline).await {
            Ok(opened) => opened,
            Err(error) => return Some(Err(not_started(error, program))),
        };
        let mut pending = PendingStart::new(output, wrapped.ready);
        Some(match timeout_at(deadline, pending.ready()).await {
            Ok(Ok(leader)) => {
                program.trace = Trace::Wrapped { leader, since };
                let mut output = pending.into_output();
                if let Some(ending) = wrapped.ending {
                    exec::ends_by(ending, &mut input, &mut output);
                }
                let input = self.input(input, start, leader);
                Ok(started(input, output, program, start).await)
            }
            Ok(Err(launch::Error::NoShell)) => return None,
            Ok(Err(launch::Error::Exec(error))) => Err(not_started(error.into(), program)),
            Ok(Err(error)) => Err(legs::Error::Runtime(Failure::of(error)).into()),
            Err(_) => {
                let error = match pending.trouble() {
                    Some(trouble) => Error::Trouble(trouble),
                    None => Error::StartTimeout,
                };
                program.pending = Some(pending);
                Err(not_started(error, program))
            }
        })
    }

    /// In an image without a shell a command's words are run as they are.
    async fn start_words(
        &self,
        start: &Start<'_>,
        deadline: Instant,
    ) -> Result<Started, NotStarted> {
        let Some(Program::Command(command)) = &start.exec.program else {
            return Err(legs::Error::NoShell.into());
        };
        let words = command::split(command).map_err(invalid)?;
        tracing::debug!("no shell in the image, running the command's words");
        let unidentified = match (&self.node.helper, container(start.granted)) {
            (Some(_), Some(container)) => self.node.starts.begin(container).await,
            _ => None,
        };
        let mut trace = Words {
            words,
            since: ticks::now(),
            terminal: start.exec.terminal.is_some(),
            leader: None,
            seen: None,
        };
        let mut program = self.program(start, Trace::Words(trace.clone()));
        start.record.record(program.known()).await;
        let (input, output) = match self.open(start, &trace.words, deadline).await {
            Ok(opened) => opened,
            Err(error) => return Err(not_started(error, program)),
        };
        // What others have started while the kubelet was asked is not it.
        trace.since = output.opened();
        program.trace = Trace::Words(trace);
        program.unidentified = unidentified;
        Ok(started(Box::new(input), output, program, start).await)
    }

    fn input(
        &self,
        input: Input,
        start: &Start<'_>,
        leader: Option<Leader>,
    ) -> Box<dyn streams::Input> {
        match leader {
            Some(leader) if start.exec.terminal.is_some() => Box::new(TerminalInput {
                input,
                client: Arc::clone(&self.client),
                granted: start.granted.clone(),
                leader,
            }),
            _ => Box::new(input),
        }
    }

    fn program(&self, start: &Start<'_>, trace: Trace) -> KubeletProgram {
        let (session, granted) = (start.session, start.granted);
        KubeletProgram::new(&self.client, &self.node, session, granted, trace)
    }
}

#[async_trait]
impl Runtime for Kubelet {
    fn word(&self) -> &'static str {
        "kubelet"
    }

    async fn start(&self, start: &Start<'_>) -> Result<Started, NotStarted> {
        let deadline = Instant::now() + START_TIMEOUT;
        for shell in sh::NAMES {
            let (exec, folder) = (start.exec, start.folder);
            let wrapped = wrapper::wrap(start.session, exec, folder, shell).map_err(invalid)?;
            if let Some(started) = self.start_wrapped(start, wrapped, deadline).await {
                return started;
            }
        }
        self.start_words(start, deadline).await
    }

    fn resume(&self, session: &str, granted: &Granted, trace: &trace::Trace) -> Box<dyn Running> {
        let trace::Trace::Kubelet(trace) = trace;
        let (client, node) = (&self.client, &self.node);
        let trace = trace.clone();
        Box::new(KubeletProgram::new(client, node, session, granted, trace))
    }

    async fn allows(&self, granted: &Granted) -> Result<(), legs::Error> {
        Ok(self.client.allows(granted).await?)
    }

    async fn until_gone(&self, granted: &Granted) -> String {
        self.client.until_gone(granted).await.to_string()
    }

    async fn why_gone(&self, granted: &Granted) -> Option<String> {
        if let (Some(helper), Some(id)) = (&self.node.helper, container(granted))
            && let Ok(true) = helper.runs(&id).await
        {
            return None;
        }
        let (times, pause) = NOTICE;
        for _ in 0..times {
            match self.client.live(granted).await {
                Err(Error::Pods(error)) if error.container_gone() => {
                    return Some(error.to_string());
                }
                _ => sleep(pause).await,
            }
        }
        None
    }
}

#[async_trait]
impl Dialer for Kubelet {
    async fn dial(
        &self,
        granted: &Granted,
        address: &Address,
    ) -> Result<Connection, dialer::Error> {
        let port = port_forward::loopback(address).ok_or(dialer::Error::NeedsEntry)?;
        let dialled = timeout(START_TIMEOUT, self.client.port_forward(granted, port));
        match dialled.await.unwrap_or(Err(Error::StartTimeout)) {
            Ok(connection) => Ok(connection),
            Err(Error::PortForward(exec::port_forward::Error::NotConnected(words))) => {
                Err(dialer::Error::NotConnected(words))
            }
            Err(error) => Err(legs::Error::from(error).into()),
        }
    }

    async fn until_gone(&self, granted: &Granted) -> String {
        Runtime::until_gone(self, granted).await
    }
}

fn invalid(error: command::Error) -> legs::Error {
    legs::Error::Invalid(Failure::of(error))
}

/// A program that runs. Its trace is recorded once more, for it says more by now.
async fn started(
    input: Box<dyn streams::Input>,
    output: Output,
    mut program: KubeletProgram,
    start: &Start<'_>,
) -> Started {
    program.doubtful = false;
    start.record.record(program.known()).await;
    Started {
        streams: Streams {
            input,
            output: Box::new(output),
        },
        running: Box::new(program),
    }
}

/// A program that does not run. It may have started all the same once its streams were open.
fn not_started(error: Error, program: KubeletProgram) -> NotStarted {
    let doubtful = matches!(
        error,
        Error::Exec(_) | Error::StartTimeout | Error::Trouble(_)
    );
    NotStarted {
        error: error.into(),
        running: doubtful.then(|| Box::new(program) as Box<dyn Running>),
    }
}
