//! The lines of ssh_config that docs/tools.md gives for each IDE, as they stand there, above those of
//! docs/targets.md.

use podgate_tests::instruments::upper::Upper;

use super::*;

/// The text of a page from a heading to the next of its kind or a higher one.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let level = heading.find(' ').unwrap();
    let ends = |line: &&str| {
        let depth = line.bytes().take_while(|&byte| byte == b'#').count();
        (1..=level).contains(&depth)
    };
    match rest.lines().find(ends) {
        Some(next) => rest.split_once(&format!("\n{next}\n")).unwrap().0,
        None => rest,
    }
}

/// The lines of its first block that begins with `Host`.
fn block(section: &str) -> String {
    let lines = section
        .lines()
        .skip_while(|line| !line.starts_with("    Host "));
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_ides_work_as_they_stand() {
    let (place, server) = (Place::new().await, Upper::start().await.unwrap());
    let tools = include_str!("../../../docs/tools.md");
    let targets = include_str!("../../../docs/targets.md");
    let ides = section(tools, "## IDEs");
    let headings: Vec<_> = ides
        .lines()
        .filter(|line| line.starts_with("### "))
        .collect();
    assert!(headings.len() >= 6, "{headings:?}");
    let (host, port, key, known) = place.stand.client.parts();
    let dir = place.stand.dir();
    let own = std::fs::read_to_string(&known).unwrap();
    let own = own.split_once(' ').unwrap().1;
    std::fs::write(
        dir.join("known_alias"),
        format!("podgate.example.com {own}"),
    )
    .unwrap();
    let general = block(section(targets, "## Pods as host names")).replace(
        "HostName podgate.example.com",
        &format!("HostName {host}\n  Port {port}"),
    );
    assert!(general.contains("ProxyJump podgate"), "{general}");
    for heading in headings {
        let lines = block(section(ides, heading));
        assert!(lines.starts_with("Host *.pod\n"), "{heading}: {lines}");
        // OpenSSH takes the home folder from passwd, so the test's own cannot be given.
        let lines = lines.replace("~/.ssh/", &format!("{}/", dir.display()));
        let config = dir.join("documented");
        let text = format!(
            "{lines}\n{general}\nHost *\n  User whoever\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n  BatchMode yes\n  LogLevel ERROR\n",
            key.display(),
            dir.join("known_alias").display(),
        );
        std::fs::write(&config, text).unwrap();
        let host = format!("{POD}.default.pod");
        let ssh = || {
            let mut ssh = Command::new("ssh");
            ssh.arg("-F").arg(&config).kill_on_drop(true);
            ssh.stdout(Stdio::piped()).stderr(Stdio::null());
            ssh
        };
        let mut command = ssh();
        let output = given(command.args([host.as_str(), "echo works"]), b"").await;
        assert_eq!(output.stdout, b"works\n", "{heading}");
        let mut forward = ssh();
        let address = format!("127.0.0.1:{}", server.port());
        let output = given(forward.args(["-W", &address, &host]), b"hi").await;
        assert_eq!(output.stdout, b"HI", "{heading}");
        // One that shares a connection would keep it.
        let _ = given(ssh().args(["-O", "exit", &host]), b"").await;
    }
}
