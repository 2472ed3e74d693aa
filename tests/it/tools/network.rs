//! iperf3 and psql, with their servers in the pod's own network.

use std::net::TcpListener;

use podgate_tests::instruments::clients;
use podgate_tests::instruments::eventually::eventually;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinSet;

use super::*;

/// A pod with a network of its own, and a way into it.
async fn place() -> (Place, String) {
    let place = Place::of(PodSpec::bash(POD).own_network()).await;
    let pid = place.pod.pid("app").await.unwrap();
    (place, format!("--net=/proc/{pid}/ns/net"))
}

/// A program of this machine in the pod's network.
fn inside(network: &str, words: &[&str]) -> Child {
    let mut program = Command::new("nsenter");
    program.arg(network).args(words).kill_on_drop(true);
    program.stdin(Stdio::null()).stdout(Stdio::null());
    program.spawn().unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// A port of this machine that leads to one of the pod.
async fn forward(place: &Place, to: u16) -> (u16, Child) {
    listening(place, "-L", &format!(":127.0.0.1:{to}")).await
}

/// A port of this machine at which ssh listens.
async fn listening(place: &Place, option: &str, leads: &str) -> (u16, Child) {
    let port = free_port();
    let listen = format!("{port}{leads}");
    let options = ["-N", "-oExitOnForwardFailure=yes", option, &listen];
    let ssh = place.stand.client.ssh(&options, POD).spawn().unwrap();
    let up = || async { TcpStream::connect(("127.0.0.1", port)).await.ok() };
    eventually("ssh to listen", SOON, up).await.unwrap();
    (port, ssh)
}

/// A port of this machine that leads to one of the pod by a SOCKS proxy (RFC 1928).
async fn by_socks(proxy: u16, to: u16) -> (u16, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut accepts = JoinSet::new();
    accepts.spawn(async move {
        let mut relays = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            relays.spawn(async move {
                let mut inner = TcpStream::connect(("127.0.0.1", proxy)).await?;
                inner.write_all(&[5, 1, 0]).await?;
                inner.read_exact(&mut [0; 2]).await?;
                let [high, low] = to.to_be_bytes();
                inner
                    .write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])
                    .await?;
                inner.read_exact(&mut [0; 10]).await?;
                copy_bidirectional(&mut stream, &mut inner).await
            });
        }
    });
    (port, accepts)
}

/// iperf3 up, down, and by four connections, each time beside one that controls.
async fn moves(client: impl Fn() -> Command) {
    for more in [&[][..], &["-R"], &["-P", "4"]] {
        // A server that is still busy with the run before refuses, or reports nothing.
        let run = || async {
            let mut client = client();
            client.args(["-t", "2", "-J"]).args(more);
            let said = clients::succeeds(&mut client, SOON).await.ok()?;
            let report: serde_json::Value = serde_json::from_str(&said).ok()?;
            let moved = report["end"]["sum_received"]["bytes"].as_u64()?;
            (moved >= 1 << 20).then_some(())
        };
        eventually("iperf3", SOON, run).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn iperf3() {
    let (place, network) = place().await;
    let server = free_port().to_string();
    let _inside = inside(&network, &["iperf3", "-s", "-p", &server]);
    let to = |port: u16| {
        let mut client = Command::new("iperf3");
        client.args(["-c", "127.0.0.1", "-p", &port.to_string()]);
        client
    };
    let (port, _ssh) = forward(&place, server.parse().unwrap()).await;
    moves(|| to(port)).await;
    let (proxy, _ssh) = listening(&place, "-D", "").await;
    let (port, _relays) = by_socks(proxy, server.parse().unwrap()).await;
    moves(|| to(port)).await;
    // The other way round: its server is here, and its client in the pod.
    let mut here = Command::new("iperf3");
    here.args(["-s", "-p", &server]).kill_on_drop(true);
    let _here = here.stdout(Stdio::null()).spawn().unwrap();
    let port = free_port().to_string();
    let leads = format!("{port}:127.0.0.1:{server}");
    let options = ["-N", "-oExitOnForwardFailure=yes", "-R", &leads];
    let _ssh = place.stand.client.ssh(&options, POD).spawn().unwrap();
    moves(|| {
        let mut client = Command::new("nsenter");
        client.args([&network, "iperf3", "-c", "127.0.0.1", "-p", &port]);
        client
    })
    .await;
}

/// PostgreSQL of this machine, as its own user, in the pod's network.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn psql() {
    let found = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let bin = found.flatten().next().unwrap().path().join("bin");
    let program = |name: &str| bin.join(name).to_str().unwrap().to_owned();
    let (place, network) = place().await;
    let dir = tempfile::Builder::new().prefix("podgate-psql-").tempdir();
    let dir = dir.unwrap();
    let path = dir.path().to_str().unwrap();
    let as_user = [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
    ];
    let mut own = Command::new("chown");
    clients::succeeds(own.args(["postgres:", path]), SOON)
        .await
        .unwrap();
    let mut init = Command::new(as_user[0]);
    init.args(&as_user[1..]).arg(program("initdb"));
    init.args(["-A", "trust", "-N", "-D", path]);
    clients::succeeds(&mut init, SOON).await.unwrap();
    let postgres = program("postgres");
    let mut words = as_user.to_vec();
    words.extend([
        postgres.as_str(),
        "-D",
        path,
        "-k",
        "",
        "-h",
        "127.0.0.1",
        "-p",
        "5432",
    ]);
    let mut server = inside(&network, &words);
    let (port, _ssh) = forward(&place, 5432).await;
    let ask = async |words: &[&str]| {
        let mut psql = Command::new("psql");
        psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres"]);
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(words);
        clients::succeeds(&mut psql, SOON).await
    };
    let up = || async { ask(&["-c", "select 6 * 7"]).await.ok() };
    assert_eq!(eventually("PostgreSQL", SOON, up).await.unwrap(), "42\n");
    // Rows down, and up.
    let rows = ask(&["-c", "select generate_series(1, 200000)"])
        .await
        .unwrap();
    assert_eq!(rows.lines().count(), 200_000);
    let file = dir.path().join("rows");
    std::fs::write(&file, &rows).unwrap();
    let copy = format!("\\copy kept from '{}'", file.display());
    let table = "create table kept (number int)";
    let sum = "select sum(number) from kept";
    let words = ["-q", "-c", table, "-c", &copy, "-c", sum];
    assert_eq!(ask(&words).await.unwrap(), "20000100000\n");
    // Its own way to end at once.
    let pid = server
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT).unwrap();
    timeout(SOON, server.wait()).await.unwrap().unwrap();
}
