//! What a request asks for, in the words of authorization and of the counters (apiserver,
//! `pkg/endpoints/request/requestinfo.go`).

use std::collections::HashMap;

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

/// A verb on a resource; fields that a request does not name are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) namespace: String,
    /// With its subresource after a slash, as in `pods/exec`.
    pub(super) resource: String,
    pub(super) name: String,
}

impl Asked {
    /// `None` where the path names no resource, as `/version`.
    pub(super) fn of(method: &Method, uri: &Uri, query: &Query) -> Option<Self> {
        let path: Vec<&str> = uri.path().split('/').skip(1).collect();
        let (group, path) = match path.as_slice() {
            ["api", "v1", path @ ..] => ("", path),
            ["apis", group, _version, path @ ..] => (*group, path),
            _ => return None,
        };
        let (namespace, path) = match path {
            ["namespaces", namespace, path @ ..] if !path.is_empty() => (*namespace, path),
            path => ("", path),
        };
        let (resource, name) = match path {
            [resource] if !resource.is_empty() => ((*resource).to_owned(), String::new()),
            [resource, name] => ((*resource).to_owned(), (*name).to_owned()),
            [resource, name, sub @ ..] => {
                (format!("{resource}/{}", sub.join("/")), (*name).to_owned())
            }
            [] | [_] => return None,
        };
        let one = !name.is_empty();
        let verb = match *method {
            Method::GET | Method::HEAD if one => "get",
            Method::GET | Method::HEAD if query.is_true("watch") => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "",
        };
        Some(Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            namespace: namespace.to_owned(),
            resource,
            name,
        })
    }
}

/// The parameters of a request.
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let decode = |text: &str| {
            // As a form has it (WHATWG URL §5.1).
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = uri.query().unwrap_or_default().split('&');
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(k, v)| (decode(k), decode(v))).collect())
    }

    /// Empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// As Kubernetes converts a string to a bool: any other value counts as true.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.0.get(name)?;
        Some(!matches!(value.as_str(), "false" | "0"))
    }
}
