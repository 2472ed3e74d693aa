//! The commands about recordings: `recordings`, `play`, `verify`, `export`, `link` and `reindex`, as `ssh
//! podgate@DOOR COMMAND`. Who may, RBAC says: `list`, `get` and `update` on `recordings` of podgate.io, in the namespace of the
//! recorded pod. To others a recording looks like one that does not exist.

mod arguments;
mod asked;
mod error;
mod find;
mod link;
mod list;
mod play;
mod reindex;
mod reply;

use podgate_recording::{Export, Id, Library, Verdict, Verifier};
use russh::server::Msg;
use russh::{ChannelReadHalf, ChannelWriteHalf};

use super::end::{End, Exit};
use super::open;
use arguments::Command;
pub(super) use asked::Asked;
use error::Error;
use find::find;
use reply::Reply;

/// The exit status of `verify` for a recording without its end, and for one that was changed.
const CUT: u32 = 1;
const CHANGED: u32 = 2;

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
        Command::Link(id) => link::link(id, asked, (&library, recordings.links()), &reply).await,
        Command::Reindex(what) => reindex::reindex(what, asked, &library, &reply).await,
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

async fn verify(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let mut reader = find(id.clone(), "verify", asked, library).await?;
    let mut verifier = Verifier::new(id.as_str());
    let (words, status) = loop {
        let broken = match reader.next().await {
            Ok(Some(chunk)) => verifier
                .chunk(&chunk)
                .err()
                .map(|broken| broken.to_string()),
            Ok(None) => {
                let no_end = no_end(&verifier, library).await?;
                break words(verifier.verdict(), no_end);
            }
            Err(missing @ podgate_recording::Error::Missing(_)) => Some(missing.to_string()),
            Err(error) => return Err(error.into()),
        };
        if let Some(broken) = broken {
            break (format!("changed: {broken}"), CHANGED);
        }
    };
    reply.say(&format!("{id}: {words}\n")).await?;
    Ok(status)
}

/// What is told of a recording without an end; `None` if it has one.
async fn no_end(verifier: &Verifier, library: &Library) -> Result<Option<&'static str>, Error> {
    if verifier.is_whole() {
        return Ok(None);
    }
    let frontdoor = [verifier.frontdoor().to_owned()].into();
    Ok(Some(match library.running(frontdoor).await?.is_empty() {
        true => {
            "it was cut: its frontdoor ended before the session, or has not reached the store for minutes"
        }
        false => "the session runs",
    }))
}

/// Warns of a recording without an end.
async fn warn_of_no_end(
    verifier: &Verifier,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<(), Error> {
    if let Some(no_end) = no_end(verifier, library).await? {
        let told = format!("the recording has no end: {no_end}");
        reply.warn(&told).await?;
    }
    Ok(())
}

/// A verdict in words, and the exit status for it.
fn words(verdict: Verdict, no_end: Option<&str>) -> (String, u32) {
    let (chunks, until) = (verdict.chunks, verdict.until.as_secs_f64());
    let last = verdict.last.unwrap_or_default();
    let encrypted = match verdict.encrypted {
        true => format!(
            "; it is encrypted, so that its text was not checked: the SHA-256 of the last chunk as it is \
             stored must be the audit log's recordingLastSha256: {last}"
        ),
        false => String::new(),
    };
    match verdict.whole {
        Some(whole) => (
            format!(
                "whole: {chunks} chunks, {until:.1} s, SHA-256 {}{encrypted}",
                whole.sha256
            ),
            0,
        ),
        None => (
            format!(
                "without its end: {chunks} chunks are right, up to {until:.1} s; {}",
                no_end.unwrap_or_default()
            ),
            CUT,
        ),
    }
}

async fn export(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let mut reader = find(id.clone(), "export", asked, library).await?;
    let mut export = Export::new(id);
    while let Some(chunk) = reader.next().await? {
        reply.give(export.chunk(&chunk)?).await?;
    }
    reply.give(export.end()).await?;
    warn_of_no_end(export.verifier(), library, reply).await?;
    Ok(0)
}
