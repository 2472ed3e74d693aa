//! The options of a list or a watch: `meta.v1.ListOptions`, checked by its rules (apimachinery,
//! `pkg/apis/meta/internalversion/validation`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::answer::Failure;
use super::asked::Query;
use super::selector::Selector;

/// The timeout of a watch that names none. kube-apiserver chooses 30 to 60 minutes.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// A resource version as clients say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Not said: the latest.
    Unset,
    /// `0`: any.
    Any,
    Version(u64),
}

/// The options of one request.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) selector: Selector,
    pub(super) at: At,
    /// Whether the resource version is meant exactly.
    pub(super) exact: bool,
    pub(super) limit: Option<usize>,
    pub(super) from: Option<Continue>,
    pub(super) bookmarks: bool,
    pub(super) initial_events: bool,
    pub(super) timeout: Duration,
}

/// Where the next page begins (apiserver, `pkg/storage/continue.go`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Continue {
    v: String,
    /// Of the first page; -1 for the latest.
    pub(super) rv: i64,
    pub(super) start: String,
    /// This server's own: the items from there on, as long as a selector does not hide it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<usize>,
}

impl Continue {
    pub(super) fn new(rv: i64, start: String, left: Option<usize>) -> Self {
        let v = "meta.k8s.io/v1".to_owned();
        Self { v, rv, start, left }
    }

    pub(super) fn token(&self) -> String {
        // Strings and numbers can always be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn parse(token: &str) -> Result<Self, Failure> {
        let parse = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok();
        parse().ok_or_else(|| Failure::bad_request("continue key is not valid"))
    }
}

impl Options {
    pub(super) fn of(namespace: &str, query: &Query) -> Result<Self, Failure> {
        let (labels, fields) = (query.get("labelSelector"), query.get("fieldSelector"));
        let selector = Selector::parse(namespace, labels, fields)
            .map_err(|error| Failure::bad_request(error.to_string()))?;
        let at = match query.get("resourceVersion") {
            "" => At::Unset,
            "0" => At::Any,
            version => At::Version(number("resourceVersion", version)?),
        };
        let watch = query.is_true("watch");
        let initial_events = query.flag("sendInitialEvents");
        let matching = query.get("resourceVersionMatch");
        let next = query.get("continue");
        let wrong = match (watch, matching) {
            (true, "") if initial_events.is_some() => {
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            }
            (true, "NotOlderThan") if initial_events.is_some() => "",
            (true, "") | (false, "") => "",
            (true, _) if initial_events.is_none() => {
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            }
            (false, _) if at == At::Unset => {
                "resourceVersionMatch is forbidden unless resourceVersion is provided"
            }
            (false, _) if !next.is_empty() => {
                "resourceVersionMatch is forbidden when continue is provided"
            }
            (false, "Exact") if at == At::Any => {
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
            }
            (false, "Exact" | "NotOlderThan") => "",
            _ => "unsupported value",
        };
        if !wrong.is_empty() {
            return Err(forbidden("resourceVersionMatch", wrong));
        }
        if !watch && initial_events.is_some() {
            let wrong = "sendInitialEvents is forbidden for list";
            return Err(forbidden("sendInitialEvents", wrong));
        }
        if !next.is_empty() && matches!(at, At::Version(_)) {
            let wrong = "specifying resource version is not allowed when using continue";
            return Err(Failure::bad_request(wrong));
        }
        let from = (!next.is_empty())
            .then(|| Continue::parse(next))
            .transpose()?;
        let limit = match query.get("limit") {
            "" | "0" => None,
            limit => usize::try_from(number("limit", limit)?).ok(),
        };
        // A watch that may begin anywhere begins with the present state, and a bookmark marks its end
        // (apimachinery, `pkg/apis/meta/internalversion/defaults.go`).
        let anywhere = watch && !matches!(at, At::Version(_));
        let timeout = match query.get("timeoutSeconds") {
            "" | "0" => TIMEOUT,
            seconds => Duration::from_secs(number("timeoutSeconds", seconds)?),
        };
        Ok(Self {
            selector,
            at,
            // A limit makes it so where nothing else is said.
            exact: matching == "Exact" || (matching.is_empty() && limit.is_some()),
            limit,
            from,
            bookmarks: query.is_true("allowWatchBookmarks"),
            initial_events: initial_events.unwrap_or(anywhere),
            timeout,
        })
    }
}

fn forbidden(field: &str, why: &str) -> Failure {
    let why = format!("Forbidden: {why}");
    Failure::invalid("meta.k8s.io", "ListOptions", field, &why)
}

fn number(field: &str, value: &str) -> Result<u64, Failure> {
    let wrong = || Failure::bad_request(format!("{field}: Invalid value: {value:?}"));
    value.parse().map_err(|_| wrong())
}
