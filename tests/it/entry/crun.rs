//! Containers that run under crun, Debian's: the same is started in them, and the same said when nothing is.

use std::io::Read;

use podgate_node_entry::protocol::{Folder, Signal};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::{Failure, Report};
use podgate_node_entry::status::Status;
use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::holder::{command, of, with_terminal, words};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};

use super::{stage, task};

#[tokio::test]
async fn programs_have_their_pipes_terminals_and_statuses() {
    let mut stage = stage(PodSpec::bash("crun").crun()).await;
    let start = of(&stage.pod).unwrap();
    let holder = &mut stage.holder;
    let whole = holder.whole(
        start.clone(),
        &command("cat; echo done >&2; exit 7"),
        b"some\xc3\xbc",
    );
    let whole = whole.unwrap();
    assert_eq!(
        (whole.stdout.as_str(), whole.stderr.as_str()),
        ("some\u{fc}", "done\n")
    );
    assert_eq!(whole.status, Some(Status::Exited(7)));
    // What is on pipes is reached with all that it has started.
    let script = "sleep 1002 & echo ready; wait";
    let mut program = holder.run(start.clone(), &command(script)).unwrap();
    let mut ready = [0; 6];
    let stdout = program.stdout.as_mut().unwrap();
    stdout.read_exact(&mut ready).unwrap();
    assert_eq!(holder.signal(program.handle, Signal::Term).unwrap(), 2);
    assert!(holder.ended(program.handle).unwrap().is_some());
    let bytes = words(&[
        "bash",
        "-c",
        "printf %s \"$1\" | od -An -tx1",
        "x",
        "\u{fc}",
    ]);
    let whole = holder.whole(start.clone(), &bytes, b"").unwrap();
    assert_eq!(whole.stdout, " c3 bc\n");
    let script = "exec > >(while read l; do sleep 0.01; echo \"- $l\"; done); seq 50; exit 3";
    let whole = holder.whole(start, &words(&["bash", "-c", script]), b"");
    let whole = whole.unwrap();
    assert_eq!(whole.stdout.lines().count(), 50);
    assert_eq!(whole.status, Some(Status::Exited(3)));

    let terminal = with_terminal(&stage.pod).unwrap();
    let script = "stty size; tty; echo ready; exec sleep 1001";
    let mut program = holder.run(terminal, &command(script)).unwrap();
    let master = program.master.as_mut().unwrap();
    let mut seen = String::new();
    while !seen.contains("ready") {
        let mut bytes = [0; 4096];
        let read = master.read(&mut bytes).unwrap();
        seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert_eq!(seen, "24 80\r\n/dev/pts/0\r\nready\r\n");
    assert_eq!(holder.signal(program.handle, Signal::Term).unwrap(), 1);
    let killed = Status::Signalled {
        signal: 15,
        core: false,
    };
    assert_eq!(holder.ended(program.handle).unwrap(), Some(killed));
    assert_eq!(stage.others(), []);
}

#[tokio::test]
async fn an_image_without_a_shell_runs_programs() {
    let mut stage = stage(PodSpec::distroless("crun-bare").crun()).await;
    let start = of(&stage.pod).unwrap();
    let holder = &mut stage.holder;
    let whole = holder.whole(start.clone(), &words(&["/probe", "cat"]), b"through");
    assert_eq!(whole.unwrap().stdout, "through");
    let program = holder.run(start, &command("echo")).unwrap();
    let missing = Failure::NotFound("/bin/sh".into());
    assert_eq!(program.report().unwrap(), Some(Report::Failed(missing)));
}

#[tokio::test]
async fn what_it_says_becomes_the_same_reasons() {
    let app = ContainerSpec::new("app", Image::Busybox).working_dir("/srv/gone");
    let mut stage = stage(PodSpec::new("crun-refused").crun().container(app)).await;
    let mut start = of(&stage.pod).unwrap();
    stage.in_pod("rmdir /srv/gone").await;
    let holder = &mut stage.holder;
    let refused = holder.start(start.clone(), &command("pwd")).unwrap();
    assert_eq!(refused.err(), Some(Reason::WorkingFolder));
    start.folder = Folder::Root;
    let whole = holder.whole(start.clone(), &command("pwd"), b"").unwrap();
    assert_eq!((whole.stdout.as_str(), whole.stderr.as_str()), ("/\n", ""));
    task(&stage.containerd, "pause", start.container.as_ref());
    let refused = holder.start(start.clone(), &command("pwd")).unwrap();
    assert_eq!(refused.err(), Some(Reason::Paused));
    task(&stage.containerd, "resume", start.container.as_ref());
    let whole = holder
        .whole(start.clone(), &command("exit 4"), b"")
        .unwrap();
    assert_eq!(whole.status, Some(Status::Exited(4)));
    stage.pod.restart_container("app").await.unwrap();
    let refused = stage.holder.start(start, &command("pwd")).unwrap();
    assert_eq!(refused.err(), Some(Reason::Gone));
}
