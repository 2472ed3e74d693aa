//! `verify`: checks all chunks of a recording.

use podgate_recording::{Error as StoreError, Id, Library, NoEnd, Verdict, Verifier};

use super::asked::Asked;
use super::error::Error;
use super::find::find;
use super::reply::Reply;

/// The exit status for a recording without its end, and for one that was changed.
const CUT: u32 = 1;
const CHANGED: u32 = 2;

pub(super) async fn verify(
    id: Id,
    asked: &Asked<'_>,
    library: &Library,
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let reader = find(id.clone(), "verify", asked, library).await?;
    let mut reader = reader.read_ahead();
    let mut verifier = Verifier::new(id.as_str());
    let (words, status) = loop {
        let broken = match reader.next().await {
            Ok(Some(chunk)) => match verifier.chunk(&chunk) {
                Ok(_) => continue,
                Err(broken) => broken.to_string(),
            },
            Ok(None) => {
                let no_end = NoEnd::of(&verifier, &reader, library).await?;
                break words(verifier.verdict(), no_end);
            }
            Err(missing @ StoreError::Missing(_)) => missing.to_string(),
            Err(error) => return Err(error.into()),
        };
        break changed(&broken);
    };
    reply.say(&format!("{id}: {words}\n")).await?;
    Ok(status)
}

fn changed(how: &str) -> (String, u32) {
    (format!("changed: {how}"), CHANGED)
}

/// A verdict in words, and the exit status for it.
fn words(verdict: Verdict, no_end: Option<NoEnd>) -> (String, u32) {
    let (chunks, until) = (verdict.chunks, verdict.until.as_secs_f64());
    let last = verdict.last.unwrap_or_default();
    let encrypted = match verdict.encrypted {
        true => format!(
            "; it is encrypted, so that its text was not checked: the SHA-256 of the last chunk as it is \
             stored must be the audit log's recordingLastSha256: {last}"
        ),
        false => String::new(),
    };
    match (verdict.whole, no_end) {
        (Some(whole), _) => (
            format!(
                "whole: {chunks} chunks, {until:.1} s, SHA-256 {}{encrypted}",
                whole.sha256
            ),
            0,
        ),
        (None, Some(missing @ NoEnd::Missing(_))) => changed(&missing.to_string()),
        (None, no_end) => {
            let why = no_end.map(|no_end| no_end.to_string()).unwrap_or_default();
            let right = format!("{chunks} chunks are right, up to {until:.1} s");
            (format!("without its end: {right}; {why}"), CUT)
        }
    }
}
