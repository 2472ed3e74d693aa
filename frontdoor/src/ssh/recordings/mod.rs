//! The commands about recordings: `recordings`, `play`, `verify` and `export`, as `ssh podgate@DOOR
//! COMMAND`. Who may, RBAC says: `list` and `get` on `recordings` of podgate.io, in the namespace of the
//! recorded pod. To others a recording looks like one that does not exist.

mod arguments;
mod list;
mod play;
mod reply;

use std::time::Duration;

use podgate_identity::Identity;
use podgate_recording::{Broken, Id, Library, Reader, Verifier};
use russh::server::Msg;
use russh::{ChannelReadHalf, ChannelWriteHalf};
use tokio::time::timeout;

use super::client::Client;
use super::end::{End, Exit};
use super::open;
use crate::audit::Event;
use crate::authz::{self, OfRecordings};
use arguments::Command;
use reply::{Gone, Reply};

/// How long the API server and the store may take to say what may be seen.
const FOUND: Duration = Duration::from_secs(30);
/// The exit status of `verify` for a recording without its end, and for one that was changed.
const CUT: u32 = 1;
const CHANGED: u32 = 2;
/// The login name, as the audit log has it.
const LOGIN_NAME: &str = "podgate";

/// Who asks.
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) identity: &'a Identity,
    pub(super) session: &'a str,
    pub(super) tty: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Authz(#[from] authz::Error),
    #[error("the store of recordings: {0}")]
    Store(#[from] podgate_recording::Error),
    #[error("there is no recording {0} that you may see")]
    Unknown(Id),
    #[error("the recording was changed: {0}")]
    Broken(#[from] Broken),
    #[error("the recording cannot be read: {0}")]
    Cast(#[from] podgate_recording::cast::Error),
    #[error("this frontdoor cannot write its audit log, so it shows no recording")]
    Audit,
    #[error(
        "the store of recordings or the Kubernetes API server did not answer in time; try again"
    )]
    Late,
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Carries out a command.
pub(super) async fn answer(
    line: &str,
    asked: &Asked<'_>,
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
) -> End {
    let context = &asked.client.context;
    let Some(recordings) = &context.recordings else {
        return End::Failed("this frontdoor records no sessions".to_owned());
    };
    let command = match arguments::parse(line) {
        Ok(command) => command,
        Err(sentence) => return End::Failed(sentence),
    };
    let (library, reply) = (recordings.library(), Reply::new(write, asked.tty));
    let done = match command {
        Command::List(what) => list::list(what, asked, &library, &reply).await,
        Command::Play(what) => play::play(what, asked, &library, read, &reply).await,
        Command::Verify(id) => verify(id, asked, &library, &reply).await,
        Command::Export(id) => export(id, asked, &library, &reply).await,
    };
    match done {
        Ok(status) => End::Exited(Exit {
            status,
            ..Exit::default()
        }),
        Err(Error::Gone(gone)) => gone.into(),
        Err(Error::Authz(error)) => {
            let error: open::Error = error.into();
            if let Some(limit) = error.limit() {
                context.metrics.refused(limit);
            }
            End::Failed(open::sentence(&error))
        }
        Err(error) => End::Failed(error.to_string()),
    }
}

/// Finds a recording that the user may get, and records in the audit log that it is read.
async fn find(
    id: Id,
    how: &'static str,
    asked: &Asked<'_>,
    library: &Library,
) -> Result<Reader, Error> {
    let (client, identity) = (asked.client, asked.identity);
    let find = async {
        let days = id.day().into_iter().collect();
        let namespaces = library.namespaces(days).await?;
        let namespaces = namespaces.into_iter().collect();
        let authorizer = &client.context.authorizer;
        let may = authorizer.recorded(identity, OfRecordings::Get, namespaces);
        let found = library.find(id.clone(), may.await?).await?;
        found.ok_or(Error::Unknown(id))
    };
    let reader = timeout(FOUND, find).await.map_err(|_| Error::Late)??;
    let recording = (reader.id().as_str(), reader.namespace());
    let event = Event::watched(identity, asked.session, how, recording);
    let event = event.from(client.peer, client.via, LOGIN_NAME);
    let audit = &client.context.audit;
    audit.require(&event).map_err(|_| Error::Audit)?;
    Ok(reader)
}

async fn verify(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let mut reader = find(id.clone(), "verify", asked, library).await?;
    let mut verifier = Verifier::new(id.as_str());
    while let Some(chunk) = reader.next().await? {
        if let Err(broken) = verifier.chunk(&chunk) {
            reply.say(&format!("{id}: changed: {broken}\n")).await?;
            return Ok(CHANGED);
        }
    }
    let verdict = verifier.verdict();
    let (chunks, until) = (verdict.chunks, verdict.until.as_secs_f64());
    let (words, status) = match verdict.whole {
        Some(whole) => (
            format!(
                "whole: {chunks} chunks, {until:.1} s, SHA-256 {}",
                whole.sha256
            ),
            0,
        ),
        None => (
            format!(
                "without its end: {chunks} chunks are right, up to {until:.1} s; the session runs, or its frontdoor was killed"
            ),
            CUT,
        ),
    };
    reply.say(&format!("{id}: {words}\n")).await?;
    Ok(status)
}

async fn export(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let mut reader = find(id.clone(), "export", asked, library).await?;
    let mut verifier = Verifier::new(id.as_str());
    while let Some(chunk) = reader.next().await? {
        reply.give(verifier.chunk(&chunk)?).await?;
    }
    if !verifier.is_whole() {
        reply
            .warn("the recording has no end: the session runs, or its frontdoor was killed")
            .await?;
    }
    Ok(0)
}
