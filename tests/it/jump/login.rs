//! Who may log in inside: only the user of the outer login, with the restrictions of both.

use std::process::Stdio;

use podgate_tests::fixtures::stand::Stand;
use podgate_tests::real::ssh::keygen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Jumper, SOON, stand};

const QUICK: &str = "recheckSeconds: 1\n";

/// The users file of ada with `id` and `second`, each with options, and of bob with `bob`.
struct Users {
    id: String,
    second: String,
    bob: String,
}

impl Users {
    async fn of(stand: &Stand) -> Self {
        let mut keys = Vec::new();
        for name in ["second", "bob", "nobody"] {
            let path = stand.dir().join(name);
            keys.push(keygen(&path, &["-t", "ed25519"]).await.unwrap());
        }
        let id = std::fs::read_to_string(stand.dir().join("id.pub")).unwrap();
        let [second, bob, _] = keys.try_into().unwrap();
        let id = id.trim().to_owned();
        Self { id, second, bob }
    }

    /// An option `none` leaves its key out.
    fn write(&self, stand: &Stand, id: &str, second: &str) {
        let keys = [(id, &self.id), (second, &self.second)];
        let keys = keys.into_iter().filter(|(options, _)| *options != "none");
        let keys: Vec<_> = keys
            .map(|(options, key)| format!("'{options} {key}'"))
            .collect();
        let text = format!(
            "- {{name: ada, groups: [dev], keys: [{}]}}\n- {{name: bob, groups: [dev], keys: ['{}']}}\n",
            keys.join(", "),
            self.bob
        );
        let users = stand.dir().join("users.yaml");
        std::fs::write(users.with_extension("draft"), text).unwrap();
        std::fs::rename(users.with_extension("draft"), users).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_let_in_inside() {
    let stand = stand("limits: {loginGraceSeconds: 2}\n").await;
    let users = Users::of(&stand).await;
    users.write(&stand, "", "");
    // Another key of the same user works, too.
    let second = Jumper::with(&stand, "id", "second", "");
    assert_eq!(second.prints(&["demo.pod", "echo works"]).await, "works\n");
    for (outer, inner) in [("id", "bob"), ("bob", "id"), ("id", "nobody")] {
        let jumper = Jumper::with(&stand, outer, inner, "");
        let text = jumper.refused(&["demo.pod", "echo ran"]).await;
        assert!(
            text.contains("Permission denied (publickey)"),
            "{outer} {inner}: {text}"
        );
    }
    let wanted = |line: &serde_json::Value| {
        line["reason"] == "it belongs to bob, but the jump belongs to ada"
    };
    stand.frontdoor.wait_log(SOON, wanted).await.unwrap();

    // A local process that gets hold of the forwarded port and has no key: it learns whose server this
    // is, and nothing else, until the time to log in is over.
    let mut process = second.ssh(&["-W", "demo:22", "frontdoor"]);
    let mut process = process.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(b"SSH-2.0-nobody\r\n").await.unwrap();
    let mut heard = Vec::new();
    let mut stdout = process.stdout.take().unwrap();
    let read = stdout.read_to_end(&mut heard);
    timeout(SOON, read).await.expect("it is let be").unwrap();
    assert!(heard.starts_with(b"SSH-2.0-OpenSSH_Podgate_"));
    assert!(heard.len() < 8 * 1024, "{} bytes", heard.len());
    drop(stdin);
    stand.until_quiet(SOON).await.unwrap();
    assert_eq!(stand.embedded.as_ref().unwrap().running().len(), 0);
    let refused = ["podgate_frontdoor_refused_total{limit=\"loginGraceSeconds\"} 1"];
    stand.frontdoor.counts(SOON, &refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_restricts_either_login_holds() {
    let stand = stand("").await;
    let users = Users::of(&stand).await;
    let jumper = Jumper::with(&stand, "id", "second", "");
    for (outer, inner) in [
        ("restrict", ""),
        ("", "restrict"),
        ("no-port-forwarding", "restrict"),
    ] {
        users.write(&stand, outer, inner);
        // A jump opens no port.
        assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
        let pty = outer == "no-port-forwarding" && inner.is_empty();
        let output = jumper.run(&["-tt", "demo.pod", "tty"]).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            text.contains("PTY allocation request failed"),
            !pty,
            "{outer} {inner}: {text}"
        );
    }
    for (outer, inner) in [
        ("command=\"echo forced\"", ""),
        ("", "command=\"echo forced\""),
    ] {
        users.write(&stand, outer, inner);
        assert_eq!(jumper.prints(&["demo.pod", "echo ran"]).await, "forced\n");
    }
    users.write(&stand, "command=\"echo forced\"", "command=\"echo other\"");
    let text = jumper.refused(&["demo.pod", "echo ran"]).await;
    assert!(text.contains("Permission denied"), "{text}");
    users.write(&stand, "permitopen=\"web-0.prod.pod:22\"", "");
    assert_eq!(
        jumper.prints(&["web-0.prod.pod", "echo works"]).await,
        "works\n"
    );
    let text = jumper.refused(&["demo.pod", "echo ran"]).await;
    assert!(
        text.contains("administratively prohibited: this login may not be used to reach that host"),
        "{text}"
    );
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_login_is_revoked_the_session_inside_ends() {
    let stand = stand(QUICK).await;
    let users = Users::of(&stand).await;
    let jumper = Jumper::with(&stand, "id", "second", "");
    for (outer, inner) in [("none", ""), ("", "none")] {
        users.write(&stand, "", "");
        let session = jumper.echo().await;
        users.write(&stand, outer, inner);
        let (text, status) = session.ended().await.unwrap();
        assert!(
            text.starts_with(
                "podgate: the key or certificate that let you in is no longer valid; this session is ended\r\n"
            ),
            "{text}"
        );
        assert_eq!(status, Some(255), "{text}");
        stand.until_quiet(SOON).await.unwrap();
    }
}
