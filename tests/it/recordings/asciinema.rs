//! asciinema's own program plays what is exported: 2.4 of PyPI, which knows asciicast v2 and gets it from
//! `tests/clients/cast_v2.py`.

use std::process::Stdio;

use super::*;

const COMMAND: &str =
    "printf '\\033[1;32mgreen\\033[0m é 💡 \\377\\n'; echo no >&2; stty size; exit 3";

#[tokio::test(flavor = "multi_thread")]
async fn its_program_plays_what_is_exported() {
    let (stand, dir) = stand("  rules: [{record: bestEffort}]\n").await;
    let arguments = [COMMAND];
    let mut terminal = stand.client.terminal("demo", &arguments, 30, 100).unwrap();
    terminal.expect("30 100").await.unwrap();
    let (seen, status) = terminal.end().await.unwrap();
    assert_eq!(status, 3, "{seen}");
    let id = id(&list(&stand.client, 1).await[0]);
    let (_, cast, _) = ask(&stand.client, &format!("export {id}")).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let programs = target.unwrap_or_else(|| root.join("target"));
    let programs = programs.join("clients/venv/bin");
    let path = dir.path().join("session.cast");
    std::fs::write(&path, &cast).unwrap();
    let mut turn = Command::new(programs.join("python3"));
    let turn = turn.arg(root.join("tests/clients/cast_v2.py"));
    let turn = turn.stdin(std::fs::File::open(&path).unwrap());
    let turned = turn.output().await.unwrap();
    assert!(turned.status.success(), "{turned:?}");
    std::fs::write(&path, turned.stdout).unwrap();
    for verb in [&["cat"][..], &["play", "-s", "1000"]] {
        let mut program = Command::new(programs.join("asciinema"));
        let program = program.args(verb).arg(&path).stdin(Stdio::null());
        let shown = program
            .env("HOME", dir.path())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .await
            .unwrap();
        assert!(shown.status.success(), "{verb:?}: {shown:?}");
        let text = String::from_utf8(shown.stdout).unwrap();
        let expect = "\u{1b}[1;32mgreen\u{1b}[0m é 💡 \u{fffd}\r\nno\r\n30 100\r\n";
        assert!(text.starts_with(expect), "{verb:?}: {text:?}");
    }
}
