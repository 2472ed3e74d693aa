//! Logging in: a number of attempts, a time limit, and nothing to be learned before the login.

use podgate_tests::fixtures::stand::Stand;
use podgate_tests::real::ssh::{Client, keygen};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;

use super::{SOON, echo, refused, stand, works};

#[tokio::test(flavor = "multi_thread")]
async fn as_many_tries_as_sshd_allows() {
    let stand = stand("").await;
    let mut wrong = Vec::new();
    for number in 0..9 {
        let path = stand.dir().join(format!("wrong-{number}"));
        keygen(&path, &["-t", "ed25519"]).await.unwrap();
        wrong.push(format!("-oIdentityFile={}", path.display()));
    }
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let mut standing = echo(&stand.client, &[]).await;
    // The first `none` is no attempt, and the sixth key may still be the right one (MaxAuthTries 6).
    works(&stand.client, &wrong[..5]).await;
    for count in [6, 9] {
        let run = stand.client.run(&wrong[..count], "demo", "true");
        let output = run.await.unwrap();
        assert_eq!(output.status.code(), Some(255), "{count}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("Too many authentication attempts"), "{text}");
    }
    let counted = refused("authTries", 2);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    standing.says("still").await.unwrap();
    works(&stand.client, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_much_time_at_whatever_step() {
    let stand = stand("loginGraceSeconds: 2").await;
    let mut standing = echo(&stand.client, &[]).await;
    // One client says nothing, one only identifies itself, and one has done the key exchange and waits
    // for its user's keys, from an agent that does not answer.
    let connect = || TcpStream::connect(("127.0.0.1", stand.frontdoor.port()));
    let silent = connect().await.unwrap();
    let mut named = connect().await.unwrap();
    named.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let path = stand.dir().join("agent.sock");
    let agent = UnixListener::bind(&path).unwrap();
    let agent_option = format!("-oIdentityAgent={}", path.display());
    let mut ssh = stand.client.ssh(&[&agent_option], "demo");
    let _waiting = ssh.arg("true").spawn().unwrap();
    let _asked = timeout(SOON, agent.accept()).await.unwrap().unwrap();

    for mut connection in [silent, named] {
        let mut all = Vec::new();
        let read = connection.read_to_end(&mut all);
        timeout(SOON, read).await.expect("it stays open").unwrap();
        assert!(all.starts_with(b"SSH-2.0-OpenSSH_Podgate_"), "{all:?}");
    }
    let counts = [
        &refused("loginGraceSeconds", 3),
        "podgate_frontdoor_logins_total{outcome=\"none\"} 3",
        "podgate_frontdoor_connections 1",
    ];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
    standing.says("still").await.unwrap();
}

/// What can be seen of one login: SSH's messages by number and direction, the bytes from the
/// frontdoor and to it, and what ssh says at the end.
#[derive(Debug, PartialEq)]
struct Seen {
    messages: Vec<String>,
    bytes: (u64, u64),
    words: String,
}

/// Logs in through a relay that counts.
async fn watch(stand: &Stand, client: &Client, target: &str) -> Seen {
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (relay.local_addr().unwrap().port(), stand.frontdoor.port());
    let carry = async {
        let (near, _) = relay.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        tokio::join!(pass(far_read, near_write), pass(near_read, far_write))
    };
    let options = [
        format!("-oPort={port}"),
        format!("-oHostKeyAlias=[127.0.0.1]:{behind}"),
        "-oLogLevel=DEBUG3".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (bytes, output) = tokio::join!(carry, client.run(&options, target, "true"));
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    let (debug, words): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("debug"));
    let messages = debug
        .iter()
        .filter_map(|line| line.strip_prefix("debug3: "))
        .filter(|line| line.contains(" packet: type "));
    Seen {
        messages: messages.map(str::to_owned).collect(),
        bytes,
        words: words.join("\n").replace(target, "TARGET"),
    }
}

/// Copies bytes until either end closes, and counts them.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> u64 {
    let (mut count, mut buffer) = (0, vec![0; 64 * 1024]);
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count += length as u64;
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // It may be gone.
    let _ = to.shutdown().await;
    count
}

/// A pod that exists, one that does not, and an invalid target. All have the same length, as a client
/// sends it.
const TARGETS: [&str; 3] = ["demo", "nope", "De!o"];

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_learns_nothing_of_pods() {
    let stand = stand("").await;
    let (stranger, _) = stand.stranger("stranger").await.unwrap();
    let mut all = Vec::new();
    for target in TARGETS {
        all.push(watch(&stand, &stranger, target).await);
    }
    let first = &all[0];
    assert!(
        first.words.contains("Permission denied (publickey)"),
        "{first:?}"
    );
    // USERAUTH_FAILURE for the first `none`, and for the key.
    let failures = first
        .messages
        .iter()
        .filter(|m| *m == "receive packet: type 51");
    assert_eq!(failures.count(), 2, "{first:?}");
    assert!(all.iter().all(|seen| seen == first), "{all:#?}");
    // The time could not differ either, because nobody was asked.
    assert_eq!(stand.api.pod_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_logs_in_by_whatever_name() {
    let stand = stand("").await;
    let mut all = Vec::new();
    for target in TARGETS {
        let seen = watch(&stand, &stand.client, target).await;
        let login = seen.messages.split(|m| m == "receive packet: type 52");
        let login: Vec<_> = login.collect();
        assert_eq!(login.len(), 2, "one USERAUTH_SUCCESS: {seen:?}");
        // USERAUTH_PK_OK tells whoever has the public half that the key is known (RFC 4252 §7). SSH
        // itself has it so.
        assert!(login[0].iter().any(|m| m == "receive packet: type 60"));
        all.push(login[0].to_vec());
    }
    assert!(all.iter().all(|messages| messages == &all[0]), "{all:#?}");
}
