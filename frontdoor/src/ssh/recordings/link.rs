//! `link`: prints a URL of one use, with which a browser enters the page of recordings as this user. The pass
//! that it stands for is kept in the recordings' store, sealed; the page's program opens it.

use std::time::{SystemTime, UNIX_EPOCH};

use podgate_identity::pass::{self, LINK_SECONDS, Pass};
use podgate_recording::{Id, Library};

use super::asked::Asked;
use super::error::Error;
use super::find::{find, in_time};
use super::reply::Reply;
use crate::recordings::Links;

pub(super) async fn link(
    id: Id,
    asked: &Asked<'_>,
    (library, links): (&Library, Option<&Links>),
    reply: &Reply<'_>,
) -> Result<u32, Error> {
    let links = links.ok_or(Error::NoPage)?;
    let reader = find(id, "link", asked, library).await?;
    let secret = links.key.secret()?;
    let name = pass::name(&secret).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let pass = Pass {
        identity: asked.identity.clone(),
        session: asked.session.to_owned(),
        recording: Some(reader.id().to_string()),
        expires: now.unwrap_or_default().as_secs() + LINK_SECONDS,
    };
    let sealed = pass.seal(&links.key, &name)?;
    let kept = async { Ok(library.keep_link(&name, sealed).await?) };
    in_time(kept).await?;
    reply.say(&format!("{}/link/{secret}\n", links.url)).await?;
    let minutes = LINK_SECONDS / 60;
    let told = format!("the link is good for {minutes} minutes, and once; whoever opens it is you");
    reply.warn(&told).await?;
    if reader.is_encrypted() {
        let told = "the recording is encrypted: the page cannot play it, but gives it to whoever has a key";
        reply.warn(told).await?;
    }
    Ok(0)
}
