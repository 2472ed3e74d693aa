//! `ssh -A`: gives a session the path of a socket in its container that leads to the client's ssh-agent.

use std::time::Duration;

use podgate_proto::v1::EnvironmentVariable;
use podgate_proto::v1::open::Action;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::listen_at::ListenAt;
use super::listener;
use super::open::Place;

/// The variable that ssh(1) and others read.
const VARIABLE: &str = "SSH_AUTH_SOCK";
/// How long a session waits for the socket, at the most.
const ANSWER: Duration = Duration::from_secs(12);

/// Adds the socket to a program's environment, if the client has asked for it. Without one the program runs
/// all the same, as under sshd, and the client's next terminal says why.
pub(super) async fn add(action: &mut Action, place: &Place, actor: &Actor) {
    let Action::Exec(exec) = action else {
        return;
    };
    let (Some(connection), Some(id)) = (actor.client.agent.connection(), &place.container.running)
    else {
        return;
    };
    let socket = actor.client.agent.of(id);
    let begin = || async {
        let (told, stands) = oneshot::channel();
        let (answered, cancelled) = (CancellationToken::new(), CancellationToken::new());
        // No answer tells the client of it.
        answered.cancel();
        let task = listener::Task {
            actor: actor.clone(),
            at: ListenAt::Agent(String::new()),
            place: Some(place.clone()),
            connection,
            answered,
            cancelled: cancelled.clone(),
            over: socket.over.clone(),
        };
        actor.client.background.spawn(task.run(told));
        match timeout(ANSWER, stands).await {
            Ok(Ok(Ok(ListenAt::Agent(path)))) => Ok(path),
            _ => {
                // One that stands late would be nobody's. The next session begins anew.
                cancelled.cancel();
                socket.over.cancel();
                Err(())
            }
        }
    };
    if let Ok(path) = socket.path.get_or_try_init(begin).await {
        exec.environment.push(EnvironmentVariable {
            name: VARIABLE.to_owned(),
            value: path.clone(),
        });
    }
}
