//! Answers the login names that mean no pod: text on stdout and status 0, whatever program was asked
//! for. No agent is dialled and no API server asked.

use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::time::timeout;

use super::pump::End;
use crate::identity::Identity;
use crate::target::{HELP, Reserved};

/// For a client to take an answer, if it has no window for it yet.
const TAKEN: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("pods is not served yet; name a pod, or log in as help for examples")]
    NotServed,
    #[error("your ssh client does not take the answer")]
    NotTaken,
}

/// Says what the word asks for.
pub(super) async fn answer(
    word: Reserved,
    identity: &Identity,
    write: &ChannelWriteHalf<Msg>,
    tty: bool,
) -> End {
    let text = match word {
        Reserved::Help => HELP.to_owned(),
        Reserved::WhoAmI => whoami(identity),
        Reserved::Pods => return End::Failed(Error::NotServed.to_string()),
    };
    // A client's terminal is raw: there is no pty here that would return the carriage.
    let text = if tty {
        text.replace('\n', "\r\n")
    } else {
        text
    };
    match timeout(TAKEN, write.data_bytes(text)).await {
        Ok(Ok(())) => End::Exited(0),
        Ok(Err(_)) => End::ClientGone,
        Err(_) => End::Failed(Error::NotTaken.to_string()),
    }
}

/// A name may come from a certificate, and hold anything: it is shown as on one line.
fn whoami(identity: &Identity) -> String {
    let Identity {
        user,
        groups,
        extra,
        source,
    } = identity;
    let shown = |text: &str| text.escape_debug().to_string();
    let list = |texts: &[String]| {
        texts
            .iter()
            .map(|text| shown(text))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = format!("user: {}\n", shown(user));
    if !groups.is_empty() {
        text = format!("{text}groups: {}\n", list(groups));
    }
    for (key, values) in extra {
        text = format!("{text}{}: {}\n", shown(key), list(values));
    }
    format!("{text}source: {}\n", source.as_str())
}
