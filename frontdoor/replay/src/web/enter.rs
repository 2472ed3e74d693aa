//! Signing in and out. A link's page only says whose it is; its button uses it up. So neither a program that
//! looks at links in messages, nor another site, signs anybody in.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use podgate_process::https::Peer;
use podgate_recording::Id;

use super::failure::Failure;
use super::html::{page, text};
use super::parts::Parts;
use crate::audit::Event;
use crate::entry::{self, Cookie, Entered};
use crate::show;

/// A link: whose it is, and a button.
pub(super) async fn look(
    State(parts): State<Parts>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let looked = parts.door.look(&secret).await;
    let pass = looked.inspect_err(|error| parts.desk.metrics.entry(error.outcome()))?;
    let (user, secret) = (text(&pass.identity.user), text(&secret));
    let body = format!(
        "<h1>Recordings of sessions</h1>\n<p>This link signs you in as <b>{user}</b>. It can be used once.</p>\n\
         <form method=post action=\"/link/{secret}\"><button autofocus>Sign in as {user}</button></form>"
    );
    Ok(page(StatusCode::OK, "Sign in", None, &body))
}

/// Uses a link, and leads to its recording.
pub(super) async fn redeem(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let redeemed = parts.door.redeem(&secret).await;
    let entered = enter(&parts, "link", redeemed, &peer)?;
    let to = recording(entered.pass.recording.as_deref());
    Ok(signed_in(entered, &to))
}

/// Takes a Kubernetes token, from a form.
pub(super) async fn token(
    State(parts): State<Parts>,
    Extension(peer): Extension<Peer>,
    body: String,
) -> Result<Response, Failure> {
    let fields = || form_urlencoded::parse(body.as_bytes());
    let field = |name: &str| fields().find_map(|(key, value)| (key == name).then_some(value));
    let token = field("token").unwrap_or_default();
    let shown = parts.door.show(token.trim(), peer.address.ip()).await;
    let entered = enter(&parts, "token", shown, &peer)?;
    let to = recording(field("recording").as_deref());
    Ok(signed_in(entered, &to))
}

/// Takes the cookie away.
pub(super) async fn leave() -> Response {
    let cookie = HeaderValue::from_str(&Cookie::gone());
    let mut response = Redirect::to("/").into_response();
    if let Ok(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// For whoever is not signed in: how to, with a form for a token if tokens are taken. `to` is the recording
/// that they asked for.
pub(super) fn invitation(parts: &Parts, to: Option<&str>) -> Response {
    let mut body = "<h1>Recordings of sessions</h1>\n<p>Get a link by ssh: <code>ssh podgate@DOOR link ID</code>. \
                    <code>ssh podgate@DOOR recordings</code> lists the recordings that you may see.</p>"
        .to_owned();
    if let Some(audience) = parts
        .audience
        .as_deref()
        .filter(|_| parts.door.takes_tokens())
    {
        let (audience, to) = (text(audience), text(to.unwrap_or_default()));
        body.push_str(&format!(
            "\n<form method=post action=/enter class=token><label for=token>Or paste a Kubernetes token \
             (<code>kubectl create token NAME --audience {audience}</code>):</label>\n\
             <input type=hidden name=recording value=\"{to}\">\
             <input type=password id=token name=token autocomplete=off required>\
             <button>Sign in</button></form>"
        ));
    }
    page(StatusCode::UNAUTHORIZED, "Sign in", None, &body)
}

/// Records that somebody signs in. What the audit log cannot have does not happen.
fn enter(
    parts: &Parts,
    how: &'static str,
    entered: Result<Entered, entry::Error>,
    peer: &Peer,
) -> Result<Entered, Failure> {
    let desk = &parts.desk;
    let entered = entered.inspect_err(|error| desk.metrics.entry(error.outcome()))?;
    let event = Event::entered(how, &entered.pass, peer.address);
    desk.audit.require(&event).map_err(|_| show::Error::Audit)?;
    desk.metrics.entry(how);
    peer.slot.settle();
    peer.slot.trust();
    tracing::info!(user = entered.pass.identity.user, how, "signed in");
    Ok(entered)
}

fn signed_in(entered: Entered, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&entered.cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The page of a recording, if this is the name of one.
fn recording(id: Option<&str>) -> String {
    let id = id.and_then(|id| id.parse::<Id>().ok());
    id.map_or("/".to_owned(), |id| format!("/recordings/{id}"))
}
