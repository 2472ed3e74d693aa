//! A thousand sessions at once through one frontdoor and one agent: each is there, each hears its own
//! words and no other's, each ends with its own exit status, and nothing stays behind.

use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::{Login, Session};
use podgate_tests::instruments::program::Input;
use podgate_tests::instruments::usage::raise_descriptors;
use tokio::task::JoinSet;
use tokio::time::timeout;

const CONNECTIONS: usize = 20;
const CHANNELS: usize = 50;
/// Sessions that begin, or end, at a time; all of them are there in between. The stand's containers share
/// the machine's processes, and at its program's end each wrapper looks at all of them. A thousand wrappers
/// that do this at once leave the agent and the stand-ins no processor for longer than a start or a silent
/// link may take.
const AT_ONCE: usize = 100;
/// For all of it; on slow machines most goes by for starting the programs.
const WITHIN: Duration = Duration::from_secs(150);

/// The word and the exit status of session `index`.
fn own(index: usize) -> (String, u32) {
    (format!("word-{index}-"), index as u32 % 251)
}

async fn begin(session: &mut Session) {
    session.until("up\n").await.unwrap();
}

/// Says its word, hears it, and ends.
async fn speak(index: usize, mut session: Session) {
    let (word, status) = own(index);
    session
        .input
        .write(format!("{word}\n").into())
        .await
        .unwrap();
    session.input.end().await.unwrap();
    let ended = session.wait().await.unwrap();
    assert_eq!(ended, (format!("{word}\n").into_bytes(), status));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sessions_at_once_are_each_its_own() {
    raise_descriptors().unwrap();
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    timeout(WITHIN, all(&stand)).await.expect("it hangs");

    let ended = CONNECTIONS * CHANNELS;
    let of = |part: &str| {
        [
            format!("podgate_{part}_sessions_active 0"),
            format!("podgate_{part}_sessions_total{{action=\"exec\",outcome=\"exited\"}} {ended}"),
        ]
    };
    for (part, name) in [(&stand.frontdoor, "frontdoor"), (&stand.agent, "agent")] {
        let lines = of(name);
        let lines = lines.each_ref().map(String::as_str);
        part.counts(WITHIN, &lines).await.unwrap();
    }
    assert_eq!(stand.embedded.as_ref().unwrap().running().len(), 0);
    stand.kubelet.until_open_execs(0).await;
}

async fn all(stand: &Stand) {
    let login = Login::to(stand, "demo").unwrap();
    let mut connections = Vec::new();
    let (mut starting, mut sessions) = (JoinSet::new(), Vec::new());
    for connection in 0..CONNECTIONS {
        let connected = login.connect().await.unwrap();
        for channel in 0..CHANNELS {
            let index = connection * CHANNELS + channel;
            let command = format!("echo up; cat; exit {}", own(index).1);
            if starting.len() == AT_ONCE {
                sessions.push(starting.join_next().await.unwrap().unwrap());
            }
            let mut session = connected.exec(&command).await.unwrap();
            starting.spawn(async move {
                begin(&mut session).await;
                (index, session)
            });
        }
        connections.push(connected);
    }
    sessions.extend(starting.join_all().await);

    // Now all of them are there at the same time.
    assert_eq!(
        stand.embedded.as_ref().unwrap().running().len(),
        CONNECTIONS * CHANNELS
    );
    let active = format!(
        "podgate_frontdoor_sessions_active {}",
        CONNECTIONS * CHANNELS
    );
    stand.frontdoor.counts(WITHIN, &[&active]).await.unwrap();

    let (mut ending, mut ended) = (JoinSet::new(), 0);
    for (index, session) in sessions {
        if ending.len() == AT_ONCE {
            ending.join_next().await.unwrap().unwrap();
            ended += 1;
        }
        ending.spawn(speak(index, session));
    }
    ended += ending.join_all().await.len();
    assert_eq!(ended, CONNECTIONS * CHANNELS);
    for connection in connections {
        connection.close().await;
    }
}
