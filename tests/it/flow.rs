//! Flow control: a reader that stops slows its own writer and nobody else, costs bounded memory,
//! and goes on where it stopped.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::{Client, Shared};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const MIB: usize = 1024 * 1024;
/// A write that does not get on for this long is stalled.
const STALL: Duration = Duration::from_millis(700);
/// For what others do meanwhile.
const SOON: Duration = Duration::from_secs(10);

fn spawn(stand: &Stand, shared: &Shared, pod: &str, command: &str) -> Child {
    let mut ssh = stand.client.ssh(&[&shared.option], pod);
    ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap()
}

/// Byte `i` of every upload: no period that a lost buffer could hide in.
fn byte(i: usize) -> u8 {
    (i.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Writes until nobody takes any more; gives how much was taken.
async fn fill(stdin: &mut ChildStdin) -> usize {
    let mut sent = 0;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        for (i, b) in chunk.iter_mut().enumerate() {
            *b = byte(sent + i);
        }
        match timeout(STALL, stdin.write(&chunk)).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => return sent,
        }
        assert!(sent < 256 * MIB, "nothing pushes back");
    }
}

async fn works(stand: &Stand, shared: &Shared) {
    let options = [shared.option.as_str()];
    let run = stand.client.run(&options, "demo", "echo works");
    let output = timeout(SOON, run)
        .await
        .expect("others are held up")
        .unwrap();
    assert_eq!(output.stdout, b"works\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_whose_client_stops_reading_goes_on_where_it_stopped() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let shared = stand.client.share("demo").await.unwrap();
    let mut echo = spawn(&stand, &shared, "demo", "cat");
    let mut stdin = echo.stdin.take().unwrap();
    let sent = fill(&mut stdin).await;
    works(&stand, &shared).await;

    drop(stdin);
    let mut back = Vec::new();
    let mut stdout = echo.stdout.take().unwrap();
    timeout(SOON, stdout.read_to_end(&mut back))
        .await
        .expect("it hangs")
        .unwrap();
    assert_eq!(back.len(), sent);
    assert!(
        back.iter().enumerate().all(|(i, &b)| b == byte(i)),
        "bytes changed"
    );
    assert_eq!(echo.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_nobody_reads_hold_up_nobody_and_cost_little() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let shared = stand.client.share("demo").await.unwrap();
    works(&stand, &shared).await;
    let resident = || stand.frontdoor.resident().unwrap() + stand.agent.resident().unwrap();
    let before = resident();
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut upload = spawn(&stand, &shared, "demo", "read line; sleep 7100");
        let mut stdin = upload.stdin.take().unwrap();
        assert!(fill(&mut stdin).await > MIB);
        stalled.push((upload, stdin));
    }
    works(&stand, &shared).await;
    let grown = resident().saturating_sub(before) as usize / stalled.len();
    assert!(grown < 8 * MIB, "{grown} bytes each");

    // The connection is lost while it is stalled, and everything that it ran ends.
    drop(shared);
    let embedded = stand.embedded.as_ref().unwrap();
    if timeout(SOON, embedded.until_running(0)).await.is_err() {
        let log = stand.agent.log().join("\n");
        panic!("{:?} stays behind\n{log}", embedded.running());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_reads_holds_up_nobody() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let shared = stand.client.share("demo").await.unwrap();
    let mut download = spawn(
        &stand,
        &shared,
        "demo",
        "head -c 104857600 /dev/zero; exit 3",
    );
    works(&stand, &shared).await;
    let mut back = Vec::new();
    let mut stdout = download.stdout.take().unwrap();
    timeout(SOON * 3, stdout.read_to_end(&mut back))
        .await
        .expect("it hangs")
        .unwrap();
    assert_eq!(
        (back.len(), download.wait().await.unwrap().code()),
        (100 * MIB, Some(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_kubelet_slows_the_upload_to_its_pace() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let shared = stand.client.share("demo").await.unwrap();
    stand.kubelet.faults().set_read_rate(64 * 1024);
    let mut upload = spawn(&stand, &shared, "demo", "wc -c");
    let mut stdin = upload.stdin.take().unwrap();
    let sent = fill(&mut stdin).await;
    stand.kubelet.faults().set_read_rate(0);
    works(&stand, &shared).await;
    drop(stdin);
    let output = timeout(SOON, upload.wait_with_output())
        .await
        .expect("it hangs")
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        sent.to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_only_after_it_has_sent_everything_is_served() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    read_late(&stand, "demo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_serves_a_client_that_reads_only_after_it_has_sent_everything() {
    let (stand, _pods) = Stand::with_shells(Changes::default()).await.unwrap();
    read_late(&stand, "deb").await;
}

/// Sends everything, and then reads everything.
async fn read_late(stand: &Stand, pod: &str) {
    let shared = stand.client.share(pod).await.unwrap();
    // More each way than all buffers hold; the two directions have nothing to do with each other.
    let command = "head -c 67108864 /dev/zero & wc -c >&2; wait";
    let mut both = spawn(stand, &shared, pod, command);
    let mut stdin = both.stdin.take().unwrap();
    let send = async {
        stdin.write_all(&vec![7; 64 * MIB]).await.unwrap();
        drop(stdin);
    };
    timeout(SOON * 3, send)
        .await
        .expect("output that nobody reads holds up the input");
    let output = timeout(SOON * 3, both.wait_with_output())
        .await
        .expect("it hangs")
        .unwrap();
    assert_eq!(output.stdout.len(), 64 * MIB);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap().trim(),
        (64 * MIB).to_string()
    );
}

/// Stands between one client and the frontdoor; it ends on drop.
struct Valve {
    port: u16,
    /// Whether what the frontdoor sends is passed on.
    open: watch::Sender<bool>,
    /// Changes whenever the client's bytes were passed on.
    passed: watch::Receiver<()>,
    _task: JoinSet<()>,
}

impl Valve {
    /// An open one.
    async fn start(stand: &Stand) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, opened) = watch::channel(true);
        let (pass, passed) = watch::channel(());
        let mut task = JoinSet::new();
        task.spawn(relay(listener, stand.frontdoor.port(), opened, pass));
        Self {
            port,
            open,
            passed,
            _task: task,
        }
    }
}

/// What a [`Valve`] does.
async fn relay(
    listener: TcpListener,
    frontdoor: u16,
    mut open: watch::Receiver<bool>,
    pass: watch::Sender<()>,
) {
    let (client, _) = listener.accept().await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    // The system is to take far less than a channel's window.
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let frontdoor = (Ipv4Addr::LOCALHOST, frontdoor).into();
    let server = socket.connect(frontdoor).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = async {
        let mut chunk = vec![0; 64 * 1024];
        while open.wait_for(|open| *open).await.is_ok() {
            let some = from_server.read(&mut chunk).await.unwrap_or(0);
            if some == 0 || to_client.write_all(&chunk[..some]).await.is_err() {
                return;
            }
        }
    };
    let forth = async {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let some = from_client.read(&mut chunk).await.unwrap_or(0);
            if some == 0 || to_server.write_all(&chunk[..some]).await.is_err() {
                return;
            }
            pass.send_replace(());
        }
    };
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}

/// Such as one that itself reads nothing until what it sends is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_read_all_the_same() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let valve = Valve::start(&stand).await;
    let client = Client::new(stand.dir(), valve.port).to_any_host();
    let shared = client.share("demo").await.unwrap();
    let start = |command: &str| {
        let mut ssh = client.ssh(&[&shared.option], "demo");
        ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap()
    };
    let file = stand.dir().join("uploaded");
    let mut upload = start(&format!("echo ready; cat >'{}'", file.display()));
    let mut stdout = upload.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 6]).await.unwrap();
    let mut download = start("cat /dev/zero");
    let mut zeros = download.stdout.take().unwrap();
    let mut chunk = vec![0; MIB];
    zeros.read_exact(&mut chunk).await.unwrap();

    valve.open.send_replace(false);
    while timeout(STALL, zeros.read(&mut chunk)).await.is_ok() {}
    let bytes: Vec<_> = (0..MIB).map(byte).collect();
    let mut stdin = upload.stdin.take().unwrap();
    stdin.write_all(&bytes).await.unwrap();
    let whole = async || {
        let there = std::fs::read(&file).unwrap();
        (there == bytes).then_some(())
    };
    eventually("the upload", SOON, whole).await.unwrap();

    valve.open.send_replace(true);
    drop(stdin);
    let ended = timeout(SOON, upload.wait()).await.expect("it hangs");
    assert_eq!(ended.unwrap().code(), Some(0));
}

/// A client asks for more channels than it may have, and is refused each.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_client_does_not_take_are_bounded() {
    const REQUESTS: usize = 60_000;
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let mut valve = Valve::start(&stand).await;
    let (key, host) = (stand.dir().join("id"), stand.dir().join("host.pub"));
    let login = Login::new(valve.port, "demo", &key, &host).unwrap();
    let connection = Arc::new(login.connect().await.unwrap());
    stand.frontdoor.reset_peak().unwrap();
    let before = stand.frontdoor.peak().unwrap();

    valve.open.send_replace(false);
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let connection = Arc::clone(&connection);
        requests.spawn(async move { connection.channel().await.is_ok() });
    }
    while timeout(STALL, valve.passed.changed()).await.is_ok() {}
    let grown = (stand.frontdoor.peak().unwrap() - before) as usize;
    println!("{grown} bytes");
    assert!(grown < 5 * MIB / 2, "{grown} bytes");

    let output = stand.client.run(&[], "demo", "echo works").await.unwrap();
    assert_eq!(output.stdout, b"works\n");
}
