//! One recording: its page with the player, and the streams that the player and `Download` take.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use podgate_recording::Encrypted;
use podgate_recording::cast::Header;

use super::asked::Asked;
use super::enter::invitation;
use super::failure::Failure;
use super::html::{self, player, text};
use super::parts::Parts;
use super::stream::body;
use crate::entry::{self, Visitor};
use crate::show::{self, Found, Head, How, Place, exact, follow, head, play};

/// The page with the player. With the query `follow` it follows a running session.
pub(super) async fn page(
    State(parts): State<Parts>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    asked: Asked,
) -> Result<Response, Failure> {
    let visitor = match asked.visitor(&parts).await {
        Err(entry::Error::SignedOut) => return Ok(invitation(&parts, Some(&id))),
        visitor => visitor?,
    };
    let user = visitor.pass.identity.user.clone();
    let found = find(&parts, &id, How::Page, visitor, &asked).await?;
    let head = head(found).await;
    let head = head.inspect_err(|error| parts.count(error))?;
    let title = head.header.title.as_str();
    if head.encrypted {
        return Ok(html::page(
            StatusCode::OK,
            title,
            Some(&user),
            &sealed(&head),
        ));
    }
    let follows = query.as_deref() == Some("follow");
    let id = text(&head.id);
    let (source, other) = match follows {
        true => (
            format!("data-live=\"/recordings/{id}/live\""),
            format!("<a href=\"/recordings/{id}\">Play from the beginning</a>"),
        ),
        false => (
            format!("data-source=\"/recordings/{id}/events\""),
            format!("<a href=\"/recordings/{id}?follow\">Follow, if it still runs</a>"),
        ),
    };
    let body = format!(
        "{}<div id=player {source}></div>\n<noscript><p>The player needs JavaScript.</p></noscript>\n\
         <p class=actions>{other} <a href=\"/recordings/{id}/cast\" download>Download</a></p>\n\
         <p class=keys><kbd>space</kbd> play or pause, <kbd>←</kbd> <kbd>→</kbd> 5 s, <kbd>[</kbd> <kbd>]</kbd> \
         markers, <kbd>,</kbd> <kbd>.</kbd> steps while paused, <kbd>0</kbd>…<kbd>9</kbd> jump, <kbd>f</kbd> full screen</p>",
        about(&head.header)
    );
    Ok(player(title, &user, &body))
}

/// The page of an encrypted recording, which cannot be played here.
fn sealed(head: &Head) -> String {
    let id = text(&head.id);
    format!(
        "{}<p>This recording is encrypted, and only who has a key can read it. Download it, and then:</p>\n\
         <p><code>tar -xf {id}.tar --to-command='age -d -i KEYFILE' | zstd -d &gt; {id}.cast</code></p>\n\
         <p class=actions><a href=\"/recordings/{id}/cast\" download>Download</a></p>",
        about(&head.header)
    )
}

/// What the player plays.
pub(super) async fn events(
    State(parts): State<Parts>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    let (found, place) = open(&parts, &id, How::Play, &asked).await?;
    let events = body(play(found), place, asked.time);
    Ok(stream("application/x-asciicast", events))
}

/// What the player follows.
pub(super) async fn live(
    State(parts): State<Parts>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    let (found, place) = open(&parts, &id, How::Follow, &asked).await?;
    let events = body(follow(found, parts.draining.clone()), place, asked.time);
    Ok(stream("text/event-stream", events))
}

/// The recording as it is.
pub(super) async fn export(
    State(parts): State<Parts>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    let (found, place) = open(&parts, &id, How::Export, &asked).await?;
    let (kind, ending) = match found.reader.is_encrypted() {
        true => ("application/x-tar", "tar"),
        false => ("application/x-asciicast", "cast"),
    };
    let name = format!("attachment; filename=\"{}.{ending}\"", found.reader.id());
    let mut response = stream(kind, body(exact(found), place, asked.time));
    if let Ok(name) = HeaderValue::from_str(&name) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Takes a place for a stream, and finds what it shows.
async fn open(parts: &Parts, id: &str, how: How, asked: &Asked) -> Result<(Found, Place), Failure> {
    let visitor = asked.visitor(parts).await?;
    asked.takes_streams()?;
    let places = match how {
        How::Follow => &parts.followers,
        How::Page | How::Play | How::Export => &parts.streams,
    };
    let place = places.take(&visitor.pass.identity.user);
    let place = place.map_err(show::Error::from);
    let place = place.inspect_err(|error| parts.count(error))?;
    let found = find(parts, id, how, visitor, asked).await?;
    Ok((found, place))
}

async fn find(
    parts: &Parts,
    id: &str,
    how: How,
    visitor: Visitor,
    asked: &Asked,
) -> Result<Found, Failure> {
    let found = parts.desk.find(id, how, visitor, asked.peer.address).await;
    let found = found.inspect_err(|error| parts.count(error))?;
    if matches!(how, How::Play | How::Follow) && found.reader.is_encrypted() {
        return Err(show::Error::Encrypted(Encrypted).into());
    }
    Ok(found)
}

fn stream(kind: &'static str, body: Body) -> Response {
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Facts about the session.
fn about(header: &Header) -> String {
    let about = &header.podgate;
    let began = i64::try_from(header.timestamp).ok();
    let began = began.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let began = began.map(|time| time.to_string()).unwrap_or_default();
    let none = format!("({})", about.no_command());
    let command = header.command.as_deref().unwrap_or(&none);
    let place = format!("{} in {}.{}", about.container, about.pod, about.namespace);
    let facts: [(&str, &str); 7] = [
        ("User", about.user.as_str()),
        ("Container", &place),
        ("Began", &began),
        ("Command", command),
        ("Node", &about.node),
        ("Client", &about.client),
        ("Recording", &about.recording),
    ];
    let facts = facts.map(|(name, value)| format!("<dt>{name}<dd>{}", text(value)));
    format!(
        "<h1>{}</h1>\n<dl>{}</dl>\n",
        text(&header.title),
        facts.concat()
    )
}
