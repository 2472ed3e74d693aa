//! The page's own files, and the player's, which build.rs puts into the program. Their path has a hash of
//! all of them, so that browsers may keep them for ever.

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file's name, its kind and its bytes.
type Asset = (&'static str, &'static str, &'static [u8]);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
static FILES: [Asset; 5] = [
    (
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../../page/icon.svg"),
    ),
    ("page.css", STYLE, include_bytes!("../../page/page.css")),
    ("page.js", SCRIPT, include_bytes!("../../page/page.js")),
    (
        "player.css",
        STYLE,
        include_bytes!(concat!(env!("OUT_DIR"), "/player.css")),
    ),
    (
        "player.js",
        SCRIPT,
        include_bytes!(concat!(env!("OUT_DIR"), "/player.js")),
    ),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Context::new(&SHA256);
    for (_, _, bytes) in &FILES {
        hash.update(bytes);
    }
    let hash = hash.finish();
    let begin = hash.as_ref().iter().take(8);
    begin.map(|byte| format!("{byte:02x}")).collect()
});

/// Where a file is.
pub(super) fn path(name: &str) -> String {
    format!("/static/{}/{name}", *VERSION)
}

/// Whether the program was built with the player.
pub(crate) fn has_player() -> bool {
    FILES.iter().all(|(_, _, bytes)| !bytes.is_empty())
}

/// Anybody may have them.
pub(super) async fn file(Path((version, name)): Path<(String, String)>) -> Response {
    let found = FILES.iter().find(|(own, _, _)| *own == name);
    let Some((_, kind, bytes)) = found.filter(|_| version == *VERSION) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let keep = HeaderValue::from_static("public, max-age=31536000, immutable");
    ([kind, (header::CACHE_CONTROL, keep)], *bytes).into_response()
}
