//! asciinema's own programs play what is exported: 3 as it is, and 2.4 of PyPI, which knows asciicast v2 and gets it
//! from `tests/clients/cast_v2.py`.

use std::ffi::OsStr;
use std::process::Stdio;

use tempfile::TempDir;

use super::*;

const COMMAND: &str =
    "printf '\\033[1;32mgreen\\033[0m é 💡 \\377\\n'; echo no >&2; stty size; exit 3";
/// What it shows.
const SHOWN: &str = "\u{1b}[1;32mgreen\u{1b}[0m é 💡 \u{fffd}\r\nno\r\n30 100\r\n";

/// An exported recording: its file, in its folder.
async fn exported() -> (PathBuf, TempDir) {
    let (stand, dir) = stand("  rules: [{record: bestEffort}]\n").await;
    let arguments = [COMMAND];
    let mut terminal = stand.client.terminal("demo", &arguments, 30, 100).unwrap();
    terminal.expect("30 100").await.unwrap();
    let (seen, status) = terminal.end().await.unwrap();
    assert_eq!(status, 3, "{seen}");
    let id = id(&list(&stand.client, 1).await[0]);
    let (_, cast, _) = ask(&stand.client, &format!("export {id}")).await;
    let path = dir.path().join("session.cast");
    std::fs::write(&path, &cast).unwrap();
    (path, dir)
}

/// A file among the clients that are installed.
fn client(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| root.join("target"));
    target.join("clients").join(name)
}

/// What a program of asciinema shows.
async fn shown(program: &Path, words: &[&OsStr], home: &Path) -> String {
    let mut program = Command::new(program);
    let program = program.args(words).stdin(Stdio::null());
    let program = program.env("HOME", home).env("LC_ALL", "C.UTF-8");
    let shown = program.output().await.unwrap();
    assert!(shown.status.success(), "{words:?}: {shown:?}");
    String::from_utf8(shown.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_program_plays_what_is_exported() {
    let (path, dir) = exported().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/cast_v2.py");
    let mut turn = Command::new(client("venv/bin/python3"));
    let turn = turn.arg(script).stdin(File::open(&path).unwrap());
    let turned = turn.output().await.unwrap();
    assert!(turned.status.success(), "{turned:?}");
    fs::write(&path, turned.stdout).unwrap();
    for verb in [&["cat"][..], &["play", "-s", "1000"]] {
        let words = verb.iter().map(OsStr::new).chain([path.as_os_str()]);
        let words: Vec<_> = words.collect();
        let text = shown(&client("venv/bin/asciinema"), &words, dir.path()).await;
        assert!(text.starts_with(SHOWN), "{verb:?}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn its_third_version_plays_it_as_it_is() {
    let (path, dir) = exported().await;
    let program = client("asciinema/bin/asciinema");
    // It plays on a terminal alone.
    let play = format!("{} play -s 1000 {}", program.display(), path.display());
    let words = ["-qec", &play, "/dev/null"].map(OsStr::new);
    let text = shown("script".as_ref(), &words, dir.path()).await;
    assert!(text.contains(SHOWN), "{text:?}");
    let text = dir.path().join("session.txt");
    let words = [OsStr::new("convert"), path.as_os_str(), text.as_os_str()];
    shown(&program, &words, dir.path()).await;
    let text = fs::read_to_string(text).unwrap();
    assert_eq!(text, "green é 💡 \u{fffd}\nno\n30 100\n");
}
