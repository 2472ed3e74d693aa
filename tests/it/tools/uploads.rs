//! Tools that upload a program of their own and talk to it: mutagen, Jenkins. Their sequences.

use std::path::PathBuf;

use super::*;

/// The agent of mutagen in short, with its own way to install itself.
const MUTAGEN: &str = "#!/bin/sh\n\
    [ \"$1\" = install ] && { mkdir -p ~/.mutagen/agents/0.18 && mv \"$0\" ~/.mutagen/agents/0.18/mutagen-agent; exit; }\n\
    exec cat\n";

fn local(place: &Place, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = place.stand.dir().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// It counts on a session, SFTP and the old protocol of scp to begin in the home folder, which a pod's folder
/// need not be.
#[tokio::test(flavor = "multi_thread")]
async fn mutagen() {
    let options = [
        "-oConnectTimeout=5",
        "-oServerAliveInterval=10",
        "-oServerAliveCountMax=1",
    ];
    let place = Place::of(PodSpec::busybox("bb")).await;
    let agent = local(&place, "agent", MUTAGEN);
    for scp in ["-s", "-O"] {
        let synchronizer = ".mutagen/agents/0.18/mutagen-agent synchronizer --log-level=info";
        let none = place.run(&options, synchronizer).await;
        let said = String::from_utf8_lossy(&none.stderr);
        assert_eq!(none.status.code(), Some(127), "{said}");
        assert!(said.contains("not found"), "{said}");
        assert!(
            place
                .says(&options, "uname -s -m")
                .await
                .starts_with("Linux ")
        );
        let mut copy = place.stand.client.tool("scp");
        let to = format!("{}:.mutagen-agent1b2c", place.stand.client.address("bb"));
        copy.args(options).args(["-C", scp]).arg(&agent).arg(to);
        succeeds(&given(&mut copy, b"").await, "scp");
        place.says(&options, "./.mutagen-agent1b2c install").await;
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 127) as u8).collect();
        let back = place.told(&options, synchronizer, &bytes).await;
        assert!(back.as_bytes() == bytes, "{} bytes", back.len());
        place.says(&options, "rm -r ~/.mutagen").await;
    }
}

/// A command that must print nothing, a look for Java, an upload, and then the agent's bytes on stdin and
/// stdout of one session.
#[tokio::test(flavor = "multi_thread")]
async fn jenkins() {
    let place = Place::of(PodSpec::busybox("bb")).await;
    let shared = place.stand.client.share("bb").await.unwrap();
    let options = [shared.option.as_str()];
    let silent = place.run(&options, "exit 0").await;
    assert_eq!((silent.stdout, silent.stderr), (Vec::new(), Vec::new()));
    let java = place.run(&options, "java -version").await;
    assert_eq!(java.status.code(), Some(127));
    place.says(&options, "mkdir -p /home/agent").await;
    let jar = local(&place, "remoting.jar", "#!/bin/sh\nexec cat\n");
    let batch = format!("put {} /home/agent/remoting.jar\n", jar.display());
    let mut sftp = place.stand.client.tool("sftp");
    sftp.args([options[0], "-b", "-", &place.stand.client.address("bb")]);
    succeeds(&given(&mut sftp, batch.as_bytes()).await, "sftp");
    let start = "cd \"/home/agent\" && sh -c 'echo \"<===[JENKINS REMOTING CAPACITY]===>\"; exec sh ./remoting.jar' -workDir /home/agent";
    let bytes = [b'j'; 200_000];
    let said = place.told(&options, start, &bytes).await;
    let rest = said.strip_prefix("<===[JENKINS REMOTING CAPACITY]===>\n");
    assert!(rest.unwrap().as_bytes() == bytes);
}
