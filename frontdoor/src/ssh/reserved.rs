//! Answers the login names that mean no pod (`help`, `whoami`, `pods`) with text on stdout and status
//! 0, whatever program was asked for. No agent is dialled. Only `pods` asks the API server, about the
//! namespaces that it may show.

use std::time::Duration;

use podgate_identity::Identity;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::time::timeout;

use super::context::Context;
use super::end::{End, Exit};
use super::open;
use crate::login_name::{HELP, Reserved};
use crate::{authz, route};

/// How long a client may take to make room for the next piece of the answer.
const TAKEN: Duration = Duration::from_secs(10);
/// How long the API server may take to say, for all namespaces, whether their pods may be shown.
const ASKED: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Route(#[from] route::Error),
    #[error(transparent)]
    Authz(#[from] authz::Error),
    #[error("the Kubernetes API server did not say in time which pods you may enter; try again")]
    Asked,
}

pub(super) async fn answer(
    word: Reserved,
    identity: &Identity,
    context: &Context,
    write: &ChannelWriteHalf<Msg>,
    tty: bool,
) -> End {
    let listing = match word {
        // Without a command, that is.
        Reserved::Help | Reserved::Podgate => return say([HELP.to_owned()], write, tty).await,
        Reserved::WhoAmI => return say([whoami(identity)], write, tty).await,
        Reserved::Pods => pods(identity, context).await,
    };
    let error: open::Error = match listing {
        Ok(listing) => return say(listing, write, tty).await,
        Err(Error::Route(error)) => error.into(),
        Err(Error::Authz(error)) => error.into(),
        Err(error) => return End::Failed(error.to_string()),
    };
    if let Some(limit) = error.limit() {
        context.metrics.refused(limit);
    }
    End::Failed(open::sentence(&error))
}

/// The pods of the namespaces whose pods the identity may enter.
async fn pods(identity: &Identity, context: &Context) -> Result<route::Listing, Error> {
    let namespaces = context.router.namespaces()?;
    let enterable = context.authorizer.enterable(identity, namespaces);
    let namespaces = timeout(ASKED, enterable)
        .await
        .map_err(|_| Error::Asked)??;
    Ok(context.router.list(namespaces).await)
}

async fn say(
    pieces: impl IntoIterator<Item = String>,
    write: &ChannelWriteHalf<Msg>,
    tty: bool,
) -> End {
    for text in pieces {
        // The client's terminal is raw, and no pty here adds the carriage return.
        let text = if tty {
            text.replace('\n', "\r\n")
        } else {
            text
        };
        match timeout(TAKEN, write.data_bytes(text)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::ClientGone,
            Err(_) => return End::Failed("your ssh client does not read the answer".to_owned()),
        }
    }
    End::Exited(Exit::default())
}

/// A name may come from a certificate and hold any character, so each is escaped to stay on one line.
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
