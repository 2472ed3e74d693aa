//! A command that `stand alone` runs cannot take a common port or write where a machine's services do: a
//! test that did would fail on every machine.

use std::process::{Command, Output};

/// Runs a program alone, as someone whose own folders are elsewhere.
fn alone(words: &[&str]) -> Output {
    let mut stand = Command::new(env!("CARGO_BIN_EXE_stand"));
    stand.args(["alone", "--"]).args(words);
    stand
        .current_dir("/")
        .env("HOME", "/root")
        .env("TMPDIR", "/tmp");
    for own in ["CARGO_HOME", "CARGO_TARGET_DIR"] {
        stand.env_remove(own);
    }
    stand.output().unwrap()
}

#[test]
fn common_ports_are_taken_and_nobody_listens_there() {
    let script = r#"
import errno, socket
def attempt(what, address, port):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try: return getattr(one, what)((address, port)) or "done"
    except OSError as error: return errno.errorcode[error.errno]
for port in 22, 2222, 7443, 10250:
    print(port, attempt("bind", "127.0.0.1", port), attempt("bind", "", port), attempt("connect", "127.0.0.1", port))
print("any", attempt("bind", "127.0.0.1", 0), attempt("connect", "192.0.2.1", 80))
"#;
    let output = alone(&["python3", "-c", script]);
    let ports = ["22", "2222", "7443", "10250"];
    let taken = ports.map(|port| format!("{port} EADDRINUSE EADDRINUSE ECONNREFUSED\n"));
    let expect = taken.concat() + "any done ENETUNREACH\n";
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expect,
        "{output:?}"
    );
}

#[test]
fn folders_of_services_are_read_and_not_written() {
    let name = format!("podgate-alone-{}", std::process::id());
    let script = r#"
for folder in /run /var/lib /etc /run/containerd /var/lib/cni; do
    (: >$folder/$0) 2>/dev/null && echo $folder
done
head -c1 /etc/passwd >/dev/null && exit 7"#;
    let output = alone(&["sh", "-c", script, &name]);
    let written = String::from_utf8_lossy(&output.stdout);
    assert_eq!(written, "/run/containerd\n/var/lib/cni\n", "{output:?}");
    assert_eq!(output.status.code(), Some(7));
    // What was written is not on this machine.
    for folder in ["/run/containerd", "/var/lib/cni"] {
        assert!(!std::path::Path::new(folder).join(&name).exists());
    }
}
