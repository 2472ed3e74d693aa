//! Pages as text. Whatever is not ours goes through [`text`], and stands between tags or in quotes; scripts
//! and styles stand in files alone.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use podgate_proto::shown::is_invisible;

use super::assets;

/// A text between tags or in double quotes. Characters that show nothing, and could make a name look like
/// another, are replaced.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other if is_invisible(other) => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// A whole page. `title` and `user` are escaped here, `body` is HTML.
pub(super) fn page(status: StatusCode, title: &str, user: Option<&str>, body: &str) -> Response {
    render(status, title, user, body, false)
}

/// A page with the player.
pub(super) fn player(title: &str, user: &str, body: &str) -> Response {
    render(StatusCode::OK, title, Some(user), body, true)
}

fn render(
    status: StatusCode,
    title: &str,
    user: Option<&str>,
    body: &str,
    player: bool,
) -> Response {
    let visit = user.map_or(String::new(), |user| {
        let user = text(user);
        format!(
            "<form method=post action=/leave class=visit><span>{user}</span><button>Sign out</button></form>"
        )
    });
    let (title, style) = (text(title), assets::path("page.css"));
    let icon = assets::path("icon.svg");
    let mut head = format!("<link rel=icon href={icon}><link rel=stylesheet href={style}>");
    if player {
        let (style, script) = (assets::path("player.css"), assets::path("player.js"));
        let start = assets::path("page.js");
        head = format!(
            "<link rel=stylesheet href={style}>{head}<script defer src={script}></script>\
             <script defer src={start}></script>"
        );
    }
    let html = format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><title>{title}</title>{head}</head>\n\
         <body><header><a href=/>Recordings</a>{visit}</header>\n<main>\n{body}\n</main></body></html>\n"
    );
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        let hostile = "<img src=x onerror=\"alert('1')\">&amp;\u{202e}\u{0}\n";
        let expect = "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(text(hostile), expect);
    }
}
