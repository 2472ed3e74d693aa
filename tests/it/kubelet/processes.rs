//! What runs behind an exec of the embedded runtime, and when it ends.

use podgate_tests::stand_ins::embedded::EmbeddedContainer;

use super::node::{Node, Stand};
use super::soon::soon;
use super::spdy::{output, status};

#[tokio::test]
async fn a_container_without_a_shell_has_none() {
    let stand = Stand::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/pwd", folder.path().join("pwd")).unwrap();
    let container = EmbeddedContainer {
        dir: Some("/usr".into()),
        path: Some(folder.path().to_str().unwrap().to_owned()),
        ..EmbeddedContainer::default()
    };
    stand.embedded.container("c1", container);
    let frames = stand
        .exec(&["sh", "-c", "true"], "output=1")
        .await
        .rest()
        .await;
    assert_eq!(status(&frames)["reason"], "InternalError");
    let frames = stand.exec(&["pwd"], "output=1").await.rest().await;
    assert_eq!(output(&frames, 3), "/usr\n");
}

#[tokio::test]
async fn a_command_leads_its_own_session_and_sees_little_environment() {
    let stand = Stand::new().await;
    let argv = [
        "sh",
        "-c",
        "echo $$; cut -d' ' -f5,6 /proc/$$/stat; env | cut -d= -f1 | sort",
    ];
    for flags in ["output=1&error=1", "input=1&output=1&tty=1"] {
        let mut frames = Vec::new();
        let mut spdy = stand.exec(&argv, flags).await;
        while let Ok(frame) = spdy.frame().await {
            frames.push(frame);
        }
        let text = output(&frames, if flags.contains("tty") { 5 } else { 3 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{0} {0}", lines[0]), "{text}");
        assert!(lines.contains(&"HOME") && lines.contains(&"PATH"), "{text}");
        assert_eq!(lines.contains(&"TERM"), flags.contains("tty"), "{text}");
        assert!(
            !lines.iter().any(|line| line.starts_with("CARGO")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn losing_the_client_leaves_a_terminal_and_ends_stdin_without() {
    let stand = Stand::new().await;
    let mut tty = stand.exec(&["sh"], "input=1&output=1&tty=1").await;
    tty.until(5, |text| !text.is_empty()).await;
    let mut pipe = stand
        .exec(&["sh", "-c", "echo on; cat; sleep 0"], "input=1&output=1")
        .await;
    pipe.until(5, |text| !text.is_empty()).await;
    assert_eq!(stand.embedded.running().len(), 2);
    drop((tty, pipe));
    stand.kubelet.until_open_execs(0).await;
    soon(stand.embedded.until_running(1)).await;
    let left = stand.embedded.running();
    assert!(left[0].tty, "{left:?}");
    let pid = left[0].pid;
    drop(stand);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn the_end_of_the_runtime_takes_descendants_along() {
    let stand = Stand::new().await;
    let argv = ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"];
    let mut spdy = stand.exec(&argv, "output=1").await;
    let pid = spdy.until(3, |text| text.ends_with('\n')).await;
    drop(stand);
    // Its new parent may not have reaped it yet.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}
