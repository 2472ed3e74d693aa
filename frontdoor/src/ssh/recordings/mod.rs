//! The commands about recordings: `recordings`, `play`, `verify`, `export`, `link` and `reindex`, as `ssh
//! podgate@DOOR COMMAND`. Who may, RBAC says: `list`, `get` and `update` on `recordings` of podgate.io, in the namespace of the
//! recorded pod. To others a recording looks like one that does not exist.

mod arguments;
mod asked;
mod error;
mod export;
mod find;
mod link;
mod list;
mod play;
mod reindex;
mod reply;
mod verify;

use russh::server::Msg;
use russh::{ChannelReadHalf, ChannelWriteHalf};

use super::end::{End, Exit};
use super::open;
use arguments::Command;
pub(super) use asked::Asked;
use error::Error;
use reply::Reply;

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
        Command::Verify(id) => verify::verify(id, asked, &library, &reply).await,
        Command::Export(id) => export::export(id, asked, &library, &reply).await,
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
