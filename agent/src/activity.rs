//! What a session runs in its container: a program, or a worker that serves files. Where no worker can
//! serve, the image's own programs do, for those who may run them.

use std::time::Instant;

use podgate_proto::v1::{Exec, WorkingDirectory};

use crate::files::{self, FilesRequest, NoWorker, OrMissing, Worker, Workers};
use crate::grant::Granted;
use crate::metrics::{Metrics, RunningWorker};
use crate::node_entry;
use crate::program::{FailedStart, Handle, NotStarted, Program, ProgramSupervisor, Programs};
use crate::rates::Throttles;
use crate::refusal::Refusal;
use crate::streams::Streams;

/// What starts workers, in audit events: the runtime that is the node's own.
const WORKERS: &str = "direct";

/// What a session runs.
pub(crate) enum Activity {
    Program(Program),
    Worker(Worker, ProgramSupervisor, RunningWorker),
}

/// Why it runs nothing, and what may be left of the start.
pub(crate) struct NoActivity {
    pub(crate) refusal: Refusal,
    pub(crate) failed: Option<FailedStart>,
}

/// What has to be done beside moving its bytes.
pub(crate) enum Attendant<'a> {
    Program(&'a mut Handle),
    Worker(&'a node_entry::Program, ProgramSupervisor),
}

/// What starts it.
pub(crate) struct Starts<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) workers: Option<&'a Workers>,
    pub(crate) throttles: &'a Throttles,
    pub(crate) metrics: &'a Metrics,
}

impl Activity {
    /// The word of what has started it.
    pub(crate) fn runtime(&self) -> &'static str {
        match self {
            Self::Program(program) => program.handle.runtime(),
            Self::Worker(..) => WORKERS,
        }
    }

    /// Its bytes, and what else it needs meanwhile.
    pub(crate) fn parts(&mut self) -> (&mut Streams, ProgramSupervisor, Attendant<'_>) {
        match self {
            Self::Program(Program { streams, handle }) => {
                let supervisor = handle.supervisor();
                (streams, supervisor, Attendant::Program(handle))
            }
            Self::Worker(Worker { streams, program }, supervisor, _) => {
                let attendant = Attendant::Worker(program, supervisor.clone());
                (streams, supervisor.clone(), attendant)
            }
        }
    }

    /// Forgets what has ended by itself, and ends what has not.
    pub(crate) async fn end(self, is_over: bool) {
        match self {
            Self::Program(program) if is_over => program.ended(),
            Self::Program(program) => program.hang_up().await,
            Self::Worker(..) if is_over => {}
            Self::Worker(worker, ..) => worker.end().await,
        }
    }
}

impl Attendant<'_> {
    /// Sends the signals that are asked for. Never returns.
    pub(crate) async fn attend(self) {
        let (program, supervisor) = match self {
            Self::Program(handle) => return handle.attend().await,
            Self::Worker(program, supervisor) => (program, supervisor),
        };
        loop {
            for signal in supervisor.signals().await {
                if let Err(error) = program.signal(signal).await {
                    tracing::warn!(%error, "a signal was not delivered");
                }
            }
        }
    }
}

impl Starts<'_> {
    /// Starts a program in this folder, for a user in a session.
    pub(crate) async fn program(
        &self,
        granted: &Granted,
        who: (&str, &str),
        (exec, folder): (&Exec, WorkingDirectory),
    ) -> Result<Program, NoActivity> {
        let start = self.programs.start(granted.clone(), who, (exec, folder));
        start
            .await
            .map_err(|NotStarted { error, failed }| NoActivity {
                refusal: error.into(),
                failed: Some(failed),
            })
    }

    /// Starts what serves files, at the rates that this user may have.
    pub(crate) async fn files(
        &self,
        granted: &Granted,
        who: (&str, &str),
        request: (&FilesRequest, WorkingDirectory),
    ) -> Result<Activity, NoActivity> {
        let activity = self.server(granted, who, request).await?;
        let throttles = self.throttles.session(who.0);
        let throttled = |streams| files::throttled(streams, throttles);
        Ok(match activity {
            Activity::Program(mut program) => {
                program.streams = throttled(program.streams);
                Activity::Program(program)
            }
            Activity::Worker(mut worker, supervisor, counted) => {
                worker.streams = throttled(worker.streams);
                Activity::Worker(worker, supervisor, counted)
            }
        })
    }

    async fn server(
        &self,
        granted: &Granted,
        (user, session): (&str, &str),
        (files, folder): (&FilesRequest, WorkingDirectory),
    ) -> Result<Activity, NoActivity> {
        let begun = Instant::now();
        let started = match self.workers {
            Some(workers) => workers.start(granted, user, files, folder).await,
            None => Err(NoWorker::None),
        };
        let outcome = match &started {
            Ok(_) => "worker",
            Err(error) if !error.leaves_the_image() => "failed",
            Err(_) if files.rights.programs => "image",
            Err(_) => "refused",
        };
        self.metrics
            .file_servers
            .get_or_create(&outcome.into())
            .inc();
        let error = match started {
            Ok(worker) => {
                let counted = self.metrics.workers.started(begun.elapsed());
                let supervisor = self.programs.watch(granted);
                return Ok(Activity::Worker(worker, supervisor, counted));
            }
            Err(error) => error,
        };
        if !error.leaves_the_image() {
            return Err(refused(error.into()));
        }
        if !files.rights.programs {
            return Err(refused(files::Error::Programs(error.to_string()).into()));
        }
        tracing::info!(%error, "the image's own programs serve files");
        let exec = files::program(&files.service);
        let mut program = self
            .program(granted, (user, session), (&exec, folder))
            .await?;
        let output = program.streams.output;
        program.streams.output = Box::new(OrMissing::new(output, &files.service));
        Ok(Activity::Program(program))
    }
}

fn refused(refusal: Refusal) -> NoActivity {
    NoActivity {
        refusal,
        failed: None,
    }
}
