//! Finds one recording that a visitor may get, and records in the audit log that it is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use podgate_process::audit::AuditLog;
use podgate_recording::{Id, Library, Reader};
use tokio::time::timeout;

use super::error::Error;
use super::places::Places;
use crate::audit::Event;
use crate::entry::Visitor;
use crate::metrics::Metrics;
use crate::rights::{Right, Rights};

/// How long the API server and the store may take to say what may be seen.
const FOUND: Duration = Duration::from_secs(30);

/// What recordings are found with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) library: Library,
    pub(crate) rights: Arc<Rights>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) metrics: Arc<Metrics>,
    /// For answers that the store and the API server are asked for.
    pub(crate) requests: Arc<Places>,
}

/// How a recording is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The page about it, which shows none of its content: this is not in the audit log.
    Page,
    Play,
    Follow,
    Export,
}

impl How {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Page => None,
            Self::Play => Some("play"),
            Self::Follow => Some("follow"),
            Self::Export => Some("export"),
        }
    }
}

/// A recording that its visitor may see.
pub(crate) struct Found {
    pub(crate) reader: Reader,
    /// What the answer's stream depends on.
    pub(crate) desk: Desk,
    pub(crate) visitor: Visitor,
}

impl Desk {
    /// Finds it.
    pub(crate) async fn find(
        &self,
        id: &str,
        how: How,
        visitor: Visitor,
        client: SocketAddr,
    ) -> Result<Found, Error> {
        let id: Id = id.parse().map_err(|_| Error::Unknown)?;
        let find = async {
            let namespaces = self.library.namespaces_of(&id).await?;
            let namespaces = namespaces.into_iter().collect();
            let may = self.rights.among(&visitor, Right::Get, namespaces).await?;
            let found = self.library.find(id, may).await?;
            found.ok_or(Error::Unknown)
        };
        let reader = self.in_time(&visitor, find).await?;
        if let Some(how) = how.word() {
            let recording = (reader.id().as_str(), reader.namespace());
            let event = Event::watched(how, &visitor.pass, client, recording);
            self.audit.require(&event).map_err(|_| Error::Audit)?;
            self.metrics.watch(how);
        }
        Ok(Found {
            reader,
            desk: self.clone(),
            visitor,
        })
    }

    /// Waits for an answer of the API server and the store, for a bounded time; so many at once.
    pub(crate) async fn in_time<T>(
        &self,
        visitor: &Visitor,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _place = self.requests.take(&visitor.pass.identity.user)?;
        timeout(FOUND, answer).await.map_err(|_| Error::Late)?
    }
}
