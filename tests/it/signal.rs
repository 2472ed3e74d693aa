//! The signals that a client asks for reach what its session runs in the foreground.

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::{Connection, Login};
use podgate_tests::instruments::program::Input;
use podgate_tests::real::containerd::PodSpec;
use russh::Sig;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
/// A write that does not get on for this long is stalled.
const STALL: Duration = Duration::from_millis(700);

async fn connect(stand: &Stand, pod: &str) -> Connection {
    Login::to(stand, pod).unwrap().connect().await.unwrap()
}

async fn soon<T>(what: impl Future<Output = anyhow::Result<T>>) -> T {
    timeout(SOON, what).await.expect("in time").unwrap()
}

async fn stand(helper: bool) -> Stand {
    let changes = Changes {
        helper,
        ..Changes::default()
    };
    Stand::containerd(changes).await.unwrap()
}

/// The program gets the signal, the shell in front of it survives, and the status is the program's.
async fn a_command(helper: bool) {
    let stand = stand(helper).await;
    let _pods = [
        stand.run_pod(PodSpec::busybox("bb")).await.unwrap(),
        stand.run_pod(PodSpec::bash("deb")).await.unwrap(),
    ];
    for pod in ["bb", "deb"] {
        let connection = connect(&stand, pod).await;
        for (signal, name) in [
            (Sig::USR1, "USR1"),
            (Sig::TERM, "TERM"),
            (Sig::ALRM, "ALRM"),
        ] {
            let script = format!(
                "trap 'echo heard; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
            );
            let mut session = connection.exec(&script).await.unwrap();
            soon(session.until("ready")).await;
            session.input.signal(signal).await.unwrap();
            soon(session.until("heard")).await;
            assert_eq!(soon(session.wait()).await.1, 7, "{pod} {name}");
        }
        let mut session = connection
            .exec("echo ready; exec sleep 1000")
            .await
            .unwrap();
        soon(session.until("ready")).await;
        session.input.signal(Sig::KILL).await.unwrap();
        assert_eq!(soon(session.wait()).await.1, 137, "{pod}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_by_the_image() {
    a_command(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_by_the_helper() {
    a_command(true).await;
}

/// With a terminal, the foreground job gets the signal, not the shell.
async fn a_job(helper: bool) {
    let stand = stand(helper).await;
    let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let id = pod.container_id("app").unwrap();
    let connection = connect(&stand, "bb").await;
    let mut session = connection.terminal(None).await.unwrap();
    let typed = "sh -c 'echo r\"\"un; exec sleep 7400'; echo status $?\n";
    session.input.write(typed.into()).await.unwrap();
    soon(session.until("run\r\n")).await;
    let runs = |all: &[(u32, String)]| all.iter().find(|(_, line)| line == "sleep 7400").cloned();
    stand.until_processes(SOON, id, runs).await.unwrap();
    session.input.signal(Sig::TERM).await.unwrap();
    soon(session.until("status 143")).await;
    session.input.write("exit 8\n".into()).await.unwrap();
    assert_eq!(soon(session.wait()).await.1, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_by_the_image() {
    a_job(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_by_the_helper() {
    a_job(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_whose_input_is_full_and_unread() {
    // Without containerd, which keeps an exec open while its stdin is unread.
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let connection = connect(&stand, "demo").await;
    let mut session = connection
        .exec("echo ready; exec sleep 7403")
        .await
        .unwrap();
    soon(session.until("ready")).await;
    let chunk = vec![b'x'; 64 * 1024];
    // Until nobody takes any more.
    while let Ok(written) = timeout(STALL, session.input.write(chunk.clone().into())).await {
        written.unwrap();
    }
    session.input.signal(Sig::TERM).await.unwrap();
    assert_eq!(soon(session.wait()).await.1, 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_shell() {
    let stand = stand(true).await;
    let _pod = stand.run_pod(PodSpec::distroless("bare")).await.unwrap();
    let connection = connect(&stand, "bare").await;
    let session = connection.exec("/probe sleep 7401").await.unwrap();
    session.input.signal(Sig::TERM).await.unwrap();
    assert_eq!(soon(session.wait()).await.1, 143);
    let session = connection
        .terminal(Some("/probe sleep 7402"))
        .await
        .unwrap();
    session.input.signal(Sig::HUP).await.unwrap();
    assert_eq!(soon(session.wait()).await.1, 129);
}
