//! The list: a form with filters, a table, and links to the pages before and after.

use std::collections::BTreeSet;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use podgate_recording::Entry;

use super::asked::Asked;
use super::enter::invitation;
use super::failure::Failure;
use super::html::{page as html, text};
use super::parts::Parts;
use crate::entry;
use crate::show::{Filter, Listed, Sort, list};

/// Characters of a command that a table shows.
const COMMAND: usize = 200;

pub(super) async fn page(
    State(parts): State<Parts>,
    RawQuery(query): RawQuery,
    asked: Asked,
) -> Result<Response, Failure> {
    let visitor = match asked.visitor(&parts).await {
        Ok(visitor) => visitor,
        Err(entry::Error::SignedOut) => return Ok(invitation(&parts, None)),
        Err(error) => return Err(error.into()),
    };
    let filter = Filter::read(&query.unwrap_or_default());
    let listed = list(&parts.desk, &visitor, &filter).await;
    let listed = listed.inspect_err(|error| parts.count(error))?;
    let body = format!("{}{}", form(&filter), table(&filter, &listed));
    let user = Some(visitor.pass.identity.user.as_str());
    Ok(html(StatusCode::OK, "Recordings", user, &body))
}

fn form(filter: &Filter) -> String {
    let date = |date: Option<jiff::civil::Date>| date.map_or(String::new(), |it| it.to_string());
    let mut fields = String::new();
    for (name, label, kind, value) in [
        ("from", "From (UTC)", "date", date(filter.from)),
        ("to", "To", "date", date(filter.to)),
        ("user", "User", "text", own(&filter.user)),
        ("namespace", "Namespace", "text", own(&filter.namespace)),
        ("pod", "Pod", "text", own(&filter.pod)),
        ("command", "Command has", "text", own(&filter.command)),
    ] {
        fields.push_str(&format!(
            "<label>{label}<input type={kind} name={name} value=\"{}\"></label>\n",
            text(&value)
        ));
    }
    let sorts = Sort::ALL.iter().map(|sort| {
        let chosen = if *sort == filter.sort {
            " selected"
        } else {
            ""
        };
        format!("<option{chosen}>{}</option>", sort.word())
    });
    let sorts: String = sorts.collect();
    format!(
        "<form method=get action=/ class=filter role=search>\n{fields}\
         <label>Sort<select name=sort>{sorts}</select></label>\n<button>Show</button></form>\n"
    )
}

fn own(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn table(filter: &Filter, listed: &Listed) -> String {
    if listed.entries.is_empty() {
        let since = match filter.from {
            Some(_) => "",
            None => " of the last 24 hours",
        };
        return format!(
            "<p class=none>There are no recordings{since} that fit and that you may see.</p>"
        );
    }
    let rows = listed.entries.iter();
    let rows: String = rows.map(|entry| row(entry, &listed.running)).collect();
    let mut turn = String::new();
    if filter.page > 1 {
        let query = text(&filter.query(filter.page - 1));
        turn.push_str(&format!("<a rel=prev href=\"/?{query}\">Page before</a> "));
    }
    if listed.more {
        let query = text(&filter.query(filter.page + 1));
        turn.push_str(&format!("<a rel=next href=\"/?{query}\">Next page</a>"));
    }
    let cut = match listed.cut {
        true => {
            "<p class=none>There is more than one list can have: only the newest were looked at. Narrow the filter.</p>"
        }
        false => "",
    };
    format!(
        "<table><thead><tr><th>Began (UTC)<th>User<th>Pod<th>Namespace<th>Command<th>Length<th>Exit</tr></thead>\n\
         <tbody>\n{rows}</tbody></table>\n{cut}<nav>Page {} {turn}</nav>",
        filter.page
    )
}

fn row(entry: &Entry, running: &BTreeSet<String>) -> String {
    let about = &entry.header.podgate;
    let began = i64::try_from(entry.header.timestamp).ok();
    let began = began.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let began = began.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    let (length, status) = match &entry.end {
        Some(end) => (
            length(end.duration_ms / 1000),
            end.status.map(|status| status.to_string()),
        ),
        None if entry.is_open(running) => ("open".to_owned(), None),
        None => ("cut".to_owned(), None),
    };
    let command = entry.header.command.as_deref();
    let none = || format!("<i>{}</i>", about.no_command());
    let command = command.map_or_else(none, |command| {
        let end = command.char_indices().nth(COMMAND).map(|(at, _)| at);
        let shown = end.and_then(|end| command.get(..end));
        let more = if end.is_some() { "…" } else { "" };
        format!("<code>{}{more}</code>", text(shown.unwrap_or(command)))
    });
    // A name that was made elsewhere leads nowhere.
    format!(
        "<tr><td data-of=Began><a href=\"/recordings/{}\">{}</a><td data-of=User>{}<td data-of=Pod>{}\
         <td data-of=Namespace>{}<td data-of=Command>{command}<td data-of=Length>{length}<td data-of=Exit>{}</tr>\n",
        text(&about.recording),
        began.unwrap_or_default(),
        text(&about.user),
        text(&about.pod),
        text(&about.namespace),
        status.unwrap_or_default(),
    )
}

fn length(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match minutes {
        0..60 => format!("{minutes}:{seconds:02}"),
        _ => format!("{}:{:02}:{seconds:02}", minutes / 60, minutes % 60),
    }
}
