//! The audit record of one session: its refusal, or its start and end. A start is recorded before the
//! node is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use podgate_identity::Identity;
use podgate_process::audit::{self, AuditLog};
use podgate_proto::v1::{self, open::Action};
use podgate_recording::Sealed;

use super::command::Program;
use super::event::{Event, Location, Via};
use super::files::{FileDone, FilesWatch, Summary};
use super::refused_by::RefusedBy;
use crate::file_metrics::{FileMetrics, OpenFiles};
use crate::forward_metrics::ForwardBytes;
use crate::pod::{Container, Pod};

/// The audit log cannot be written, so no session starts. The session's user reads this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this frontdoor cannot write its audit log, so it starts no session")]
pub(crate) struct Unwritable;

impl From<audit::Unwritable> for Unwritable {
    fn from(_: audit::Unwritable) -> Self {
        Self
    }
}

/// What is seen of files.
#[derive(Debug)]
struct Watched {
    watch: FilesWatch,
    summary: Summary,
    counted: Option<(FileMetrics, OpenFiles)>,
}

/// One session's record.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    audit: &'a AuditLog,
    id: &'a str,
    identity: &'a Identity,
    from: (SocketAddr, Via, &'a str),
    kind: v1::Action,
    program: Program,
    /// What a forward leads to in the pod, or where it listens.
    address: Option<&'a str>,
    /// Who has connected to a listener in the pod.
    originator: Option<&'a str>,
    /// Of a forward: where its bytes are counted, too.
    forwarded: Option<ForwardBytes>,
    /// Of files.
    watched: Option<Mutex<Watched>>,
    location: OnceLock<Location>,
    began: OnceLock<Instant>,
    refused: AtomicBool,
    input: AtomicU64,
    output: AtomicU64,
    /// How it is recorded, and the recording's name.
    recorded: OnceLock<(&'static str, Option<String>)>,
    /// The hashes of the whole recording.
    whole: OnceLock<Sealed>,
}

impl<'a> Session<'a> {
    /// `from` is the client, how it got here and the login name.
    pub(crate) fn new(
        audit: &'a AuditLog,
        id: &'a str,
        identity: &'a Identity,
        from: (SocketAddr, Via, &'a str),
        (action, program): (&Action, Program),
    ) -> Self {
        let watch = FilesWatch::of(action);
        Self {
            audit,
            id,
            identity,
            from,
            kind: action.kind(),
            program,
            address: None,
            originator: None,
            forwarded: None,
            watched: watch.map(|watch| {
                let summary = Summary::new(Instant::now());
                Mutex::new(Watched {
                    watch,
                    summary,
                    counted: None,
                })
            }),
            location: OnceLock::new(),
            began: OnceLock::new(),
            refused: AtomicBool::new(false),
            input: AtomicU64::new(0),
            output: AtomicU64::new(0),
            recorded: OnceLock::new(),
            whole: OnceLock::new(),
        }
    }

    /// Counts its files in the metrics, too, and makes their SHA-256, if that is wanted.
    pub(crate) fn counting(mut self, metrics: &FileMetrics, hash: bool) -> Self {
        if let Some(watched) = &mut self.watched {
            let watched = watched.get_mut().unwrap_or_else(PoisonError::into_inner);
            watched.watch.hash(hash);
            watched.counted = Some((metrics.clone(), metrics.open()));
        }
        self
    }

    /// Of a connection to an address in the pod, or a listener there.
    pub(crate) fn forward(
        audit: &'a AuditLog,
        id: &'a str,
        identity: &'a Identity,
        from: (SocketAddr, Via, &'a str),
        (action, address): (&Action, &'a str),
    ) -> Self {
        Self {
            address: Some(address),
            ..Self::new(audit, id, identity, from, (action, Program::default()))
        }
    }

    /// Counts the bytes of a forwarded connection in the metrics, too.
    pub(crate) fn counting_bytes(self, metrics: &ForwardBytes) -> Self {
        let forwarded = Some(metrics.clone());
        Self { forwarded, ..self }
    }

    /// Of a connection that came to a listener in the pod.
    pub(crate) fn accepted(self, originator: &'a str) -> Self {
        let originator = Some(originator);
        Self { originator, ..self }
    }

    /// Notes where the session goes.
    pub(crate) fn found(&self, pod: &Pod, container: &Container) {
        let _ = self.location.set(Location {
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            node: pod.node.clone(),
            container: container.name.clone(),
        });
    }

    /// The client's address.
    pub(crate) fn client(&self) -> SocketAddr {
        self.from.0
    }

    /// Notes how the session is recorded, and where.
    pub(crate) fn set_recorded(&self, how: &'static str, recording: Option<String>) {
        let _ = self.recorded.set((how, recording));
    }

    /// Notes the hashes of the whole recording.
    pub(crate) fn set_whole(&self, sealed: Sealed) {
        let _ = self.whole.set(sealed);
    }

    /// Records the start. If this fails, the session must not start.
    pub(crate) fn begins(&self) -> Result<(), Unwritable> {
        self.audit.require(&self.event("start"))?;
        let _ = self.began.set(Instant::now());
        Ok(())
    }

    /// Records a refusal, with the reason that the user reads.
    pub(crate) fn refused(&self, by: RefusedBy, reason: &str) {
        self.refused.store(true, Ordering::Relaxed);
        // The audit log itself counts what it loses.
        let _ = self
            .audit
            .record(&self.event("refusal").refusal(by.as_str(), reason));
    }

    /// Records the end. If the session has not started, records a refusal with this reason, unless one
    /// is recorded already.
    pub(crate) fn ended(&self, outcome: &'static str, status: Option<u32>, reason: Option<&str>) {
        let Some(began) = self.began.get() else {
            if let (Some(reason), false) = (reason, self.refused.load(Ordering::Relaxed)) {
                self.refused(RefusedBy::End(outcome), reason);
            }
            return;
        };
        self.watch(FilesWatch::unfinished);
        if let Some(watched) = &self.watched {
            let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            self.sum_up(&mut watched.summary);
        }
        let load = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        let bytes = (load(&self.input), load(&self.output));
        let end = self.event("end");
        let end = end.end(outcome, status, reason, bytes, began.elapsed());
        // As in `refused`.
        let _ = self.audit.record(&end);
    }

    /// Counts bytes from the client, before they go on.
    pub(crate) fn took(&self, bytes: &[u8]) {
        self.input.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(forwarded) = &self.forwarded {
            forwarded.to_pods.inc_by(bytes.len() as u64);
        }
        self.watch(|watch| watch.took(bytes));
    }

    /// Sees what its program has written to stdout, before it goes to the client.
    pub(crate) fn said(&self, bytes: &[u8]) {
        self.watch(|watch| watch.gave(bytes));
    }

    /// Counts bytes to the client.
    pub(crate) fn gave(&self, bytes: usize) {
        self.output.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(forwarded) = &self.forwarded {
            forwarded.from_pods.inc_by(bytes as u64);
        }
    }

    /// Records the files that are over.
    fn watch(&self, see: impl FnOnce(&mut FilesWatch) -> Vec<FileDone>) {
        let Some(watched) = &self.watched else {
            return;
        };
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Watched {
            watch,
            summary,
            counted,
        } = &mut *watched;
        for file in see(watch) {
            if let Some((metrics, _)) = counted {
                let how = (file.direction.word(), file.outcome);
                metrics.done(watch.protocol(), how, file.bytes);
            }
            if summary.admits(&file, Instant::now()) {
                self.sum_up(summary);
                // As above.
                let _ = self.audit.record(&self.event("file").file(&file));
            }
        }
        if let Some((_, open)) = counted {
            open.set(watch.open());
        }
    }

    fn sum_up(&self, summary: &mut Summary) {
        if let Some(summed) = summary.take() {
            // As above.
            let _ = self.audit.record(&self.event("files").files(summed));
        }
    }

    fn event<'e>(&'e self, event: &'static str) -> Event<'e> {
        let (client, via, target) = self.from;
        let location = self.location.get();
        // What is refused is never recorded.
        let recorded = self.recorded.get().filter(|_| event != "refusal");
        let (how, recording) = recorded.map(|(how, id)| (*how, id.as_deref())).unzip();
        let whole = self.whole.get();
        let event = Event::session(event, self.id, self.kind, self.identity, location);
        let event = event.from(client, via, target);
        match self.address {
            Some(address) => event.address(address, self.originator),
            None => event
                .program(&self.program)
                .recording(how, recording.flatten(), whole),
        }
    }
}
