//! Starts programs, and handles them while their sessions last.

use std::sync::Arc;

use async_trait::async_trait;
use podgate_proto::v1::{Exec, WorkingDirectory};

use super::hangup;
use super::journal_entry::JournalEntry;
use super::services::ProgramServices;
use super::signals::Signals;
use super::supervisor::ProgramSupervisor;
use super::tracked::Tracked;
use crate::grant::Granted;
use crate::runtime::{self, Choice, Record, Running, Runtime, Start, Trace, Tried};
use crate::streams::Streams;

/// Starts programs. There is one per core.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    choice: Choice,
    /// That of the programs in the journal. It notices when any container of this node is gone.
    resumes: Arc<dyn Runtime>,
    services: Arc<ProgramServices>,
}

/// A program that runs: its two ends, and what is known of it.
pub(crate) struct Program {
    pub(crate) streams: Streams,
    pub(crate) handle: Handle,
}

/// What is known of a program that runs.
pub(crate) struct Handle {
    programs: Programs,
    /// What has started it.
    runtime: Arc<dyn Runtime>,
    tracked: Tracked,
    signals: Arc<Signals>,
}

/// Why a program does not run, and what may be left of it.
pub(crate) struct NotStarted {
    pub(crate) error: runtime::Error,
    pub(crate) failed: FailedStart,
}

/// A start that has failed half way.
pub(crate) struct FailedStart {
    programs: Programs,
    session: String,
    granted: Granted,
    /// Set if the program may run although nobody waits for it.
    running: Option<Box<dyn Running>>,
}

impl Programs {
    pub(crate) fn new(
        choice: Choice,
        resumes: Arc<dyn Runtime>,
        services: Arc<ProgramServices>,
    ) -> Self {
        Self {
            choice,
            resumes,
            services,
        }
    }

    /// Starts what `exec` asks for, in this folder.
    pub(crate) async fn start(
        &self,
        granted: Granted,
        (user, session): (&str, &str),
        (exec, folder): (&Exec, WorkingDirectory),
    ) -> Result<Program, NotStarted> {
        let record = Intent {
            services: &self.services,
            session,
            granted: &granted,
        };
        let start = Start {
            granted: &granted,
            user,
            session,
            exec,
            folder,
            record: &record,
        };
        let (programs, session) = (self.clone(), session.to_owned());
        let Tried { runtime, outcome } = self.choice.start(&start).await;
        match outcome {
            Ok(runtime::Started { streams, running }) => {
                let tracked = Tracked {
                    session,
                    granted,
                    running,
                    hang_up: None,
                };
                let handle = Handle {
                    programs,
                    runtime,
                    tracked,
                    signals: Arc::default(),
                };
                Ok(Program { streams, handle })
            }
            Err(runtime::NotStarted { error, running }) => {
                let failed = FailedStart {
                    programs,
                    session,
                    granted,
                    running,
                };
                Err(NotStarted { error, failed })
            }
        }
    }

    /// Watches over a container for what takes no signals.
    pub(crate) fn watch(&self, granted: &Granted) -> ProgramSupervisor {
        ProgramSupervisor {
            runtime: Arc::clone(&self.resumes),
            granted: granted.clone(),
            signals: Arc::default(),
        }
    }

    /// Ends what an earlier agent's journal says may be left.
    pub(crate) async fn recover(&self, entry: JournalEntry) {
        tracing::info!(session = %entry.session, "an earlier agent's session is ended");
        let JournalEntry {
            session,
            granted,
            trace,
            hang_up,
        } = entry;
        let running = self.resumes.resume(&session, &granted, &trace);
        let tracked = Tracked {
            session,
            granted,
            running,
            hang_up,
        };
        hangup::recover(&self.services, tracked).await;
    }
}

/// Writes down how to find a program that is being started.
struct Intent<'a> {
    services: &'a ProgramServices,
    session: &'a str,
    granted: &'a Granted,
}

#[async_trait]
impl Record for Intent<'_> {
    async fn record(&self, trace: Trace) {
        let entry = JournalEntry {
            session: self.session.to_owned(),
            granted: self.granted.clone(),
            trace,
            hang_up: None,
        };
        self.services.write(Some(entry)).await;
    }
}

impl FailedStart {
    /// Ends whatever was started. This may take as long as a slow start.
    pub(crate) async fn end(self) {
        let services = &self.programs.services;
        let Some(running) = self.running else {
            services.remove(&self.session);
            return;
        };
        let tracked = Tracked {
            session: self.session,
            granted: self.granted,
            running,
            hang_up: None,
        };
        hangup::recover(services, tracked).await;
    }
}

impl Handle {
    /// The word of what has started it.
    pub(crate) fn runtime(&self) -> &'static str {
        self.runtime.word()
    }

    /// What a session asks of it, apart from this handle, which is busy with signals.
    pub(crate) fn supervisor(&self) -> ProgramSupervisor {
        ProgramSupervisor {
            runtime: Arc::clone(&self.runtime),
            granted: self.tracked.granted.clone(),
            signals: Arc::clone(&self.signals),
        }
    }

    /// Sends the signals that are asked for, after finding out who leads the session. Never returns.
    pub(crate) async fn attend(&mut self) {
        Box::pin(self.tracked.settle(&self.programs.services)).await;
        loop {
            for signal in self.signals.take().await {
                if let Err(error) = self.tracked.running.signal(signal).await {
                    tracing::warn!(%error, "a signal was not delivered");
                }
            }
        }
    }
}

impl Program {
    /// Forgets it: it has ended by itself, and what it left in the background may stay.
    pub(crate) fn ended(self) {
        let Handle {
            programs, tracked, ..
        } = self.handle;
        programs.services.remove(&tracked.session);
    }

    /// Hangs up what is left of it.
    pub(crate) async fn hang_up(self) {
        let Handle {
            programs,
            mut tracked,
            ..
        } = self.handle;
        tracked.settle(&programs.services).await;
        hangup::end(&programs.services, tracked, Some(self.streams)).await;
    }
}
