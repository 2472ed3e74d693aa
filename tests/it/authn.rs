//! Who may log in, by which credential and as whom, and what they may then do: with OpenSSH's own
//! clients, keys and certificates.

mod certificates;
mod hardware;
mod keys;
mod recheck;
mod steps;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::real::ssh::{Client, keygen};
use tempfile::TempDir;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);

/// A stand, a CA, and a list of what is revoked.
struct AuthnStand {
    stand: Stand,
    dir: TempDir,
}

/// A person with a key, and perhaps a certificate for it, which ssh finds beside the key.
struct Somebody {
    client: Client,
    /// The public key's line.
    key: String,
    dir: PathBuf,
}

impl AuthnStand {
    /// In `frontdoor`, lines of the configuration, DIR is the folder of the CA's `ca.pub`, of another
    /// CA's `other.pub` and of the list `revoked`.
    async fn new(frontdoor: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ca", "other"] {
            let path = dir.path().join(name);
            keygen(&path, &["-t", "ed25519"]).await.unwrap();
        }
        std::fs::write(dir.path().join("revoked"), "").unwrap();
        let frontdoor = frontdoor.replace("DIR", &dir.path().display().to_string());
        let changes = Changes {
            frontdoor,
            ..Changes::default()
        };
        let stand = Stand::embedded(changes).await.unwrap();
        Self { stand, dir }
    }

    async fn somebody(&self, name: &str) -> Somebody {
        let (client, key) = self.stand.stranger(name).await.unwrap();
        let dir = self.stand.dir().join(name);
        Somebody { client, key, dir }
    }

    /// Signs somebody's key with `ca` or `other`, by ssh-keygen(1)'s options.
    async fn certify(&self, somebody: &Somebody, ca: &str, options: &[&str]) {
        let made = Command::new("ssh-keygen")
            .arg("-q")
            .arg("-s")
            .arg(self.dir.path().join(ca))
            .args(options)
            .arg(somebody.dir.join("id.pub"))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{options:?}: {text}");
    }

    /// Replaces the users file.
    fn users(&self, text: &str) {
        replace(self.stand.dir().join("users.yaml"), text);
    }

    /// Replaces the list of what is revoked.
    fn revoke(&self, text: &str) {
        replace(self.dir.path().join("revoked"), text);
    }

    /// Replaces it by a KRL that ssh-keygen makes from this text, with these options.
    async fn revoke_by_krl(&self, spec: &str, options: &[&str]) {
        let dir = self.dir.path();
        std::fs::write(dir.join("spec"), spec).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-k", "-f", "krl"])
            .args(options)
            .arg("spec")
            .current_dir(dir)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{spec}: {text}");
        std::fs::rename(dir.join("krl"), dir.join("revoked")).unwrap();
    }

    /// Waits for the frontdoor's line about a login.
    async fn logged_in(&self, user: &str, groups: &str, source: &str) {
        let wanted = |line: &serde_json::Value| {
            line["message"] == "login"
                && line["user"] == user
                && line["groups"] == groups
                && line["source"] == source
        };
        let found = self.stand.frontdoor.wait_log(SOON, wanted).await;
        let log = || self.stand.frontdoor.log().join("\n");
        assert!(found.is_ok(), "{user} {groups} {source}:\n{}", log());
    }

    /// Waits for the frontdoor's line about a refused login.
    async fn refused(&self, reason: &str) {
        let wanted = |line: &serde_json::Value| {
            let text = line["reason"].as_str().unwrap_or_default();
            line["message"] == "login refused" && text.contains(reason)
        };
        let found = self.stand.frontdoor.wait_log(SOON, wanted).await;
        let log = || self.stand.frontdoor.log().join("\n");
        assert!(found.is_ok(), "{reason}:\n{}", log());
    }
}

/// As a mounted Secret is renewed: the new file takes the name at once.
fn replace(path: PathBuf, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, path).unwrap();
}

impl Somebody {
    async fn run(&self, options: &[&str], command: &str) -> Output {
        self.client.run(options, "demo", command).await.unwrap()
    }

    async fn works(&self) {
        let output = self.run(&[], "echo works").await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"works\n", "{text}");
    }

    async fn is_denied(&self) {
        let output = self.run(&[], "echo ran").await;
        denied(&output);
    }

    /// What a command prints, its ends of lines as without a terminal.
    async fn prints(&self, options: &[&str], command: &str) -> String {
        let output = self.run(options, command).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {text}");
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    }

    /// Whether a terminal is given; without one ssh ends itself, as it does with sshd's `no-pty`.
    async fn has_terminal(&self) -> bool {
        let output = self.run(&["-tt"], "test -t 0 && echo terminal").await;
        let text = String::from_utf8_lossy(&output.stderr);
        let given = output.stdout == b"terminal\r\n";
        let said = text.contains("PTY allocation request failed");
        let code = output.status.code();
        assert!(
            given != said && code == Some(if given { 0 } else { 255 }),
            "{code:?}: {text}"
        );
        given
    }

    async fn echo(&self) -> Echo {
        let mut ssh = self.client.ssh(&[], "demo");
        ssh.arg("cat");
        Echo::start(ssh).await.unwrap()
    }
}

/// Waits for the end of a session whose login is no longer valid.
async fn is_ended(session: Echo) {
    let (text, status) = session.ended().await.unwrap();
    assert_eq!(status, Some(255), "{text}");
    assert_eq!(
        text,
        "podgate: the key or certificate that let you in is no longer valid; this session is ended\r\n"
    );
}

fn denied(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{text}");
    assert!(output.stdout.is_empty(), "{text}");
    assert!(text.contains("Permission denied (publickey)"), "{text}");
}
