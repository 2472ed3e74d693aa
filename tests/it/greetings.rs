//! What users read when they come: a banner before the login, and the message of the day on a terminal.

use std::fs;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::program::Input;

#[tokio::test(flavor = "multi_thread")]
async fn a_banner_for_all_and_a_message_for_shells_on_terminals() {
    let files = tempfile::tempdir().unwrap();
    let (banner, motd) = (files.path().join("banner"), files.path().join("motd"));
    let keys = format!("banner: {}\nmotd: {}\n", banner.display(), motd.display());
    let changes = Changes {
        frontdoor: keys,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let banner_now = async || {
        let output = stand
            .client
            .run(&["-oLogLevel=INFO"], "demo", "true")
            .await
            .unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    // As in sshd, a missing file says nothing.
    assert_eq!(banner_now().await, "");
    for size in [10, 1000, 100_000] {
        let text = "X".repeat(size);
        fs::write(&banner, &text).unwrap();
        assert_eq!(banner_now().await, text);
    }
    fs::remove_file(&banner).unwrap();
    assert_eq!(banner_now().await, "");

    fs::write(&motd, "be kind\nto pods\n").unwrap();
    let connection = Login::to(&stand, "demo").unwrap().connect().await.unwrap();
    let mut shell = connection.terminal(None).await.unwrap();
    shell.until("be kind\r\nto pods\r\n").await.unwrap();
    shell.input.write("exit 3\n".into()).await.unwrap();
    assert_eq!(shell.wait().await.unwrap().1, 3);
    // A command on a terminal prints only its own output.
    let command = connection.terminal(Some("echo here")).await.unwrap();
    let (said, _) = command.wait().await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), "here\r\n");
}
