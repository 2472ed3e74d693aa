//! What is started: on pipes and terminals, in images with and without a shell, in bytes.

use std::io::{Read, Write};
use std::time::Duration;

use podgate_node_entry::launch::{Folder as Where, Launch, Program as What};
use podgate_node_entry::protocol::{Folder, Signal};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::{Failure, Report};
use podgate_node_entry::status::Status;
use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::holder::{Program, command, launch, of, with_terminal, words};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use rustix::termios::{Winsize, tcsetwinsize};

use super::stage;

fn exited(status: u8) -> Option<Status> {
    Some(Status::Exited(status))
}

/// All that a terminal shows until it is closed at the other end.
fn screen(program: &mut Program) -> String {
    let mut bytes = Vec::new();
    // A terminal whose other end is closed gives an error in place of an end (EIO).
    let _ = program.master.as_mut().unwrap().read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_program_has_its_pipes_and_gives_its_own_status() {
    let mut stage = stage(PodSpec::busybox("pipes")).await;
    let start = of(&stage.pod).unwrap();
    let holder = &mut stage.holder;
    let left = holder.whole(
        start.clone(),
        &command("cat; echo done >&2; exit 7"),
        b"some\xc3\xbc",
    );
    let left = left.unwrap();
    assert_eq!(
        (left.stdout.as_str(), left.stderr.as_str()),
        ("someü", "done\n")
    );
    assert_eq!(left.status, exited(7));
    let killed = Status::Signalled {
        signal: 9,
        core: false,
    };
    let left = holder
        .whole(start.clone(), &command("kill -9 $$"), b"")
        .unwrap();
    assert_eq!(left.status, Some(killed));
    // A status that a runtime uses for its own failures is the program's all the same.
    let left = holder
        .whole(start.clone(), &command("exit 255"), b"")
        .unwrap();
    assert_eq!(left.status, exited(255));
    // Input that is not read keeps nobody.
    let input = vec![b'x'; 1_000_000];
    let left = holder
        .whole(start, &command("head -c1 >/dev/null; exit 7"), &input)
        .unwrap();
    assert_eq!(left.status, exited(7));
    assert_eq!(stage.others(), []);
}

#[tokio::test]
async fn a_terminal_is_the_containers_own_and_controls_the_program() {
    let mut stage = stage(PodSpec::bash("terminal")).await;
    let start = with_terminal(&stage.pod).unwrap();
    let script = "stty size; tty; echo $SSH_TTY; echo it >/dev/tty; trap 'stty size; exit 3' WINCH; \
                  echo ready; while :; do sleep 0.05; done";
    let mut program = stage.holder.run(start.clone(), &command(script)).unwrap();
    let master = program.master.as_mut().unwrap();
    let mut seen = String::new();
    while !seen.contains("ready") {
        let mut bytes = [0; 4096];
        let read = master.read(&mut bytes).unwrap();
        seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert_eq!(seen, "24 80\r\n/dev/pts/0\r\n/dev/pts/0\r\nit\r\nready\r\n");
    // A size reaches it past input that it does not read.
    master.write_all(b"unread").unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: 132,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(program.master.as_ref().unwrap(), size).unwrap();
    assert!(screen(&mut program).contains("50 132\r\n"));
    assert_eq!(stage.holder.ended(program.handle).unwrap(), exited(3));

    // A signal reaches what is in the foreground, and the shell lives on.
    let interactive = launch(What::Login);
    let mut program = stage.holder.run(start, &interactive).unwrap();
    let master = program.master.as_mut().unwrap();
    master
        .write_all(b"sleep 1000; echo \"got $?\"; exit 4\n")
        .unwrap();
    let sleeps = || {
        std::future::ready(
            stage
                .others()
                .iter()
                .any(|it| it.1 == "sleep 1000")
                .then_some(()),
        )
    };
    eventually("the foreground", Duration::from_secs(20), sleeps)
        .await
        .unwrap();
    assert_eq!(
        stage.holder.signal(program.handle, Signal::Term).unwrap(),
        1
    );
    assert!(screen(&mut program).contains("got 143"));
    assert_eq!(stage.holder.ended(program.handle).unwrap(), exited(4));
    assert_eq!(stage.others(), []);
}

#[tokio::test]
async fn an_image_without_a_shell_runs_programs_and_says_so_of_a_shell() {
    let spec = PodSpec::distroless("distroless");
    let mut stage = stage(spec).await;
    let start = of(&stage.pod).unwrap();
    let holder = &mut stage.holder;
    let left = holder
        .whole(start.clone(), &words(&["/probe", "cat"]), b"through")
        .unwrap();
    assert_eq!((left.stdout.as_str(), left.status), ("through", exited(0)));
    let left = holder
        .whole(start.clone(), &words(&["/probe", "exit", "9"]), b"")
        .unwrap();
    assert_eq!(left.status, exited(9));
    let program = holder.run(start, &command("echo")).unwrap();
    assert_eq!(
        (program.ready.user.as_slice(), program.ready.home.as_slice()),
        (&b""[..], &b""[..])
    );
    let missing = Failure::NotFound("/bin/sh".into());
    assert_eq!(program.report().unwrap(), Some(Report::Failed(missing)));
    assert_eq!(holder.ended(program.handle).unwrap(), exited(127));
}

#[tokio::test]
async fn arguments_and_environment_are_bytes_of_any_length() {
    let mut stage = stage(PodSpec::bash("bytes")).await;
    let start = of(&stage.pod).unwrap();
    let bytes = |program, environment| Launch {
        program,
        environment,
        folder: Where::Path(b"/tmp".to_vec()),
    };
    let arguments = vec![
        b"-bash".to_vec(),
        b"-c".to_vec(),
        b"printf '%s' \"$0\" \"$1\" \"$A\" \"$PWD\" | od -An -tx1 -v | tr -d ' \\n'".to_vec(),
        b"na\xffme".to_vec(),
        b"\xfe\n".to_vec(),
    ];
    let program = What::Words {
        path: b"/bin/bash".to_vec(),
        arguments,
    };
    let launch = bytes(program, vec![b"A=\xfd".to_vec()]);
    let left = stage.holder.whole(start.clone(), &launch, b"").unwrap();
    assert_eq!(left.stdout, "6e61ff6d65fe0afd2f746d70");
    let name = What::Words {
        path: b"cat".to_vec(),
        arguments: vec![b"-odd".to_vec(), b"/proc/self/cmdline".to_vec()],
    };
    let left = stage
        .holder
        .whole(start.clone(), &bytes(name, vec![]), b"")
        .unwrap();
    assert_eq!(left.stdout, "-odd\0/proc/self/cmdline\0");

    let long = vec![vec![b'a'; 100_000]; 19];
    let arguments = [
        vec![
            b"sh".to_vec(),
            b"-c".to_vec(),
            b"echo $# ${#1}".to_vec(),
            b"sh".to_vec(),
        ],
        long,
    ]
    .concat();
    let many = What::Words {
        path: b"sh".to_vec(),
        arguments,
    };
    let left = stage
        .holder
        .whole(start, &bytes(many, vec![]), b"")
        .unwrap();
    assert_eq!(left.stdout, "19 100000\n");
}

#[tokio::test]
async fn what_only_the_inside_knows_is_there_and_what_the_container_sets_stays() {
    let app = ContainerSpec::new("app", Image::Busybox)
        .user(1000)
        .env("HOME", "/own");
    let mut stage = stage(PodSpec::new("inside").container(app)).await;
    let start = of(&stage.pod).unwrap();
    let show = "echo $USER $LOGNAME $SHELL $HOME $GREETING; pwd; id -u; echo $0; umask";
    let mut launch = command(show);
    launch.environment.push(b"GREETING=mine".to_vec());
    let program = stage.holder.run(start.clone(), &launch).unwrap();
    assert_eq!(program.ready.user, b"app");
    assert_eq!(program.ready.shell, b"/bin/sh");
    let left = stage.holder.left(program).unwrap();
    assert_eq!(
        left.stdout,
        "app app /bin/sh /own mine\n/srv\n1000\nsh\n0022\n"
    );
    launch.folder = Where::Path(b"/gone".to_vec());
    let program = stage.holder.run(start, &launch).unwrap();
    assert!(program.ready.folder_is_missing);
    assert!(
        stage
            .holder
            .left(program)
            .unwrap()
            .stdout
            .contains("\n/srv\n")
    );
}

#[tokio::test]
async fn a_program_that_cannot_run_has_its_reason() {
    let mut stage = stage(PodSpec::busybox("cannot")).await;
    let start = of(&stage.pod).unwrap();
    stage.in_pod("echo x >/tmp/plain; mkdir /tmp/folder").await;
    for (path, failure, status) in [
        ("/none", Failure::NotFound("/none".into()), 127),
        ("none", Failure::NotFound("none".into()), 127),
        (
            "/tmp/plain",
            Failure::NotExecutable("/tmp/plain".into()),
            126,
        ),
        (
            "/tmp/folder",
            Failure::NotExecutable("/tmp/folder".into()),
            126,
        ),
    ] {
        let program = stage.holder.run(start.clone(), &words(&[path])).unwrap();
        assert_eq!(
            program.report().unwrap(),
            Some(Report::Failed(failure)),
            "{path}"
        );
        assert_eq!(
            stage.holder.left(program).unwrap().status,
            exited(status),
            "{path}"
        );
    }
    let long = words(&["true", &"a".repeat(200_000)]);
    let program = stage.holder.run(start, &long).unwrap();
    assert_eq!(
        program.report().unwrap(),
        Some(Report::Failed(Failure::TooLong))
    );
}

#[tokio::test]
async fn a_working_folder_that_is_gone_is_told_and_the_root_serves() {
    let app = ContainerSpec::new("app", Image::Busybox).working_dir("/srv/gone");
    let mut stage = stage(PodSpec::new("gone").container(app)).await;
    stage.in_pod("rmdir /srv/gone").await;
    let start = of(&stage.pod).unwrap();
    let refused = stage.holder.start(start.clone(), &command("pwd")).unwrap();
    assert_eq!(refused.err(), Some(Reason::WorkingFolder));
    let mut start = start;
    start.folder = Folder::Root;
    let left = stage.holder.whole(start, &command("pwd"), b"").unwrap();
    assert_eq!((left.stdout.as_str(), left.stderr.as_str()), ("/\n", ""));
}
