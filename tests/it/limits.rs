//! What one client may use of a frontdoor. Beyond a limit it is refused with the reason, and nobody
//! else notices.

mod login;
mod sessions;
mod starts;
mod strangers;

use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::real::ssh::Client;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A stand whose frontdoor has these limits, as YAML, and two cores that must count together.
async fn stand(limits: &str) -> Stand {
    let frontdoor = format!("limits: {{{limits}}}\nworkers: 2\n");
    let changes = Changes {
        frontdoor,
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

/// A session that echoes lines until its stdin ends, and ends with the status that it was given.
fn begin(client: &Client, options: &[&str], status: u8) -> Echo {
    let mut ssh = client.ssh(options, "demo");
    ssh.arg(format!("cat; exit {status}"));
    Echo::spawn(ssh).unwrap()
}

/// Begins one, and waits until it works.
async fn echo(client: &Client, options: &[&str]) -> Echo {
    let mut echo = begin(client, options, 7);
    echo.says("first").await.unwrap();
    echo
}

/// Ends its stdin, and gives how it ended.
async fn end(mut echo: Echo) -> Option<i32> {
    echo.close();
    let ended = timeout(SOON, echo.ended()).await;
    ended.expect("it does not end").unwrap().1
}

async fn works(client: &Client, options: &[&str]) {
    let output = client.run(options, "demo", "echo works").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"works\n", "{text}");
}

/// Runs a command that must be refused, and gives the line.
async fn refusal(client: &Client) -> String {
    let output = client.run(&[], "demo", "echo ran").await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(255), "{line}");
    assert!(output.stdout.is_empty(), "{line}");
    assert!(
        line.starts_with("podgate: ") && line.ends_with("\r\n") && line.lines().count() == 1,
        "{line:?}"
    );
    line
}

/// The line of the metrics for what a limit refused.
fn refused(limit: &str, count: usize) -> String {
    format!("podgate_frontdoor_refused_total{{limit=\"{limit}\"}} {count}")
}
