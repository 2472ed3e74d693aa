//! How clients know a frontdoor: a host key is replaced without anybody noticing, and a host
//! certificate is enough for whoever trusts its CA. The clients are OpenSSH's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::{Client, keygen};
use rustix::process::Signal;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);
const LEARN: &[&str] = &["-oUpdateHostKeys=yes"];

/// A stand whose frontdoor is started anew with other host keys.
struct Place {
    stand: Stand,
    /// The client's folder.
    dir: PathBuf,
}

impl Place {
    async fn new() -> Self {
        let stand = Stand::embedded(Changes::default()).await.unwrap();
        let dir = stand.dir().join("client");
        std::fs::create_dir(&dir).unwrap();
        std::fs::copy(stand.dir().join("id"), dir.join("id")).unwrap();
        keygen(&stand.dir().join("next"), &["-t", "ed25519"])
            .await
            .unwrap();
        Self { stand, dir }
    }

    /// A frontdoor with these host keys, on this port, and these lines of its configuration.
    async fn frontdoor(&self, keys: &[&str], port: u16, lines: &str) -> Part {
        let dir = self.stand.dir();
        let config = std::fs::read_to_string(dir.join("podgate-frontdoor.yaml")).unwrap();
        let keys = keys.iter().map(|key| format!("'{}/{key}'", dir.display()));
        let keys = keys.collect::<Vec<_>>().join(", ");
        let config = config
            .replace(
                &format!("hostKeys: ['{}/host']", dir.display()),
                &format!("hostKeys: [{keys}]\n{lines}"),
            )
            .replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
        let path = dir.join("another.yaml");
        std::fs::write(&path, config).unwrap();
        Part::start("podgate-frontdoor", &path).await.unwrap()
    }

    fn key(&self, name: &str) -> String {
        let path = self.stand.dir().join(name).with_extension("pub");
        let line = std::fs::read_to_string(path).unwrap();
        let words = line.split(' ').take(2);
        words.collect::<Vec<_>>().join(" ")
    }

    fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    fn knows(&self, line: &str) {
        std::fs::write(self.known_hosts(), format!("{line}\n")).unwrap();
    }

    /// Whether the client's known_hosts has these keys, and no others.
    async fn learns(&self, keys: &[&str]) {
        let mut expect: Vec<_> = keys.iter().map(|name| self.key(name)).collect();
        expect.sort();
        let look = || async {
            let text = std::fs::read_to_string(self.known_hosts()).unwrap();
            let key = |line: &str| line.split_once(' ').unwrap().1.to_owned();
            let mut found: Vec<_> = text.lines().map(key).collect();
            found.sort();
            (found == expect).then_some(())
        };
        eventually("known_hosts", SOON, look).await.unwrap();
    }
}

async fn works(client: &Client) -> bool {
    let ran = client.run(&[], "demo", "echo works").await.unwrap();
    ran.stdout == b"works\n"
}

async fn end(mut part: Part) {
    part.signal(Signal::TERM).unwrap();
    part.ended().await.unwrap();
}

async fn sign(ca: &Path, key: &Path, valid: &str) {
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-h",
            "-I",
            "frontdoor",
            "-n",
            "127.0.0.1",
            "-V",
            valid,
        ])
        .arg("-s")
        .arg(ca)
        .arg(key.with_extension("pub"))
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_is_replaced_without_anybody_noticing() {
    let place = Place::new().await;
    // The next key is listed after the present one.
    let both = place.frontdoor(&["host", "next"], 0, "").await;
    let port = both.port();
    let name = format!("[127.0.0.1]:{port}");
    place.knows(&format!("{name} {}", place.key("host")));
    let client = Client::new(&place.dir, port);
    assert!(works(&client).await);
    let mut ssh = client.ssh(LEARN, "demo");
    ssh.arg("cat");
    let mut session = Echo::start(ssh).await.unwrap();
    place.learns(&["host", "next"]).await;
    session.again().await.unwrap();
    drop(session);
    end(both).await;

    // The present key goes. A client that has learned the next one sees no difference, and forgets the
    // other.
    let next = place.frontdoor(&["next"], port, "").await;
    assert!(works(&client).await);
    let mut ssh = client.ssh(LEARN, "demo");
    ssh.arg("cat");
    let session = Echo::start(ssh).await.unwrap();
    place.learns(&["next"]).await;
    drop(session);
    // A client that has not learned it is warned.
    place.knows(&format!("{name} {}", place.key("host")));
    assert!(!works(&client).await);
    end(next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_certificate_is_enough_for_whoever_trusts_its_ca() {
    let place = Place::new().await;
    let dir = place.stand.dir();
    let (ca, host) = (dir.join("host_ca"), dir.join("host"));
    keygen(&ca, &["-t", "ed25519"]).await.unwrap();
    sign(&ca, &host, "-1m:+1h").await;
    let certificate = format!("hostCertificates: ['{}/host-cert.pub']\n", dir.display());
    let frontdoor = place.frontdoor(&["host"], 0, &certificate).await;
    let client = Client::new(&place.dir, frontdoor.port());
    let key = format!("[127.0.0.1]:{} {}", frontdoor.port(), place.key("host"));
    let authority = format!("@cert-authority * {}", place.key("host_ca"));
    for line in [&authority, &key] {
        place.knows(line);
        assert!(works(&client).await, "{line}");
    }
    place.knows(&format!("@cert-authority * {}", place.key("next")));
    assert!(!works(&client).await, "another CA");

    // A new certificate is used for the next connection. Once it has expired, clients see the key.
    sign(&ca, &host, "20200101:20200102").await;
    place.knows(&key);
    assert!(works(&client).await);
    place.knows(&authority);
    assert!(!works(&client).await, "an expired certificate");
    sign(&ca, &host, "-1m:+1h").await;
    assert!(works(&client).await);
    end(frontdoor).await;
}
