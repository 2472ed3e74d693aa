//! psql, with its server in the pod's own network.

use std::net::TcpListener;

use podgate_tests::instruments::clients;
use podgate_tests::instruments::eventually::eventually;
use tokio::net::TcpStream;
use tokio::process::Child;

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

/// A port of this machine that leads to one of the pod.
async fn forward(place: &Place, to: u16) -> (u16, Child) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listen = format!("{port}:127.0.0.1:{to}");
    let options = ["-N", "-oExitOnForwardFailure=yes", "-L", &listen];
    let ssh = place.stand.client.ssh(&options, POD).spawn().unwrap();
    let up = || async { TcpStream::connect(("127.0.0.1", port)).await.ok() };
    eventually("ssh to listen", SOON, up).await.unwrap();
    (port, ssh)
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
