//! The kubelet stand-in over the embedded runtime, held against the bytes of a real kubelet by a
//! client of hand-built frames.

use std::sync::Arc;
use std::time::Duration;

use podgate_tests::cluster::{Cluster, pod};
use podgate_tests::embedded::{Embedded, EmbeddedContainer};
use podgate_tests::kubelet::{ExecFault, Kubelet, Leg, Runtime, ServerCertificate};
use podgate_tests::pki::{Issued, Pki};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NODE: &str = "node-a";

struct Stand {
    pki: Pki,
    admin: Issued,
    cluster: Cluster,
    embedded: Arc<Embedded>,
    kubelet: Kubelet,
}

impl Stand {
    async fn new() -> Self {
        Self::with(Embedded::new().unwrap()).await
    }

    async fn with(embedded: Embedded) -> Self {
        let (pki, cluster) = (Pki::new().unwrap(), Cluster::new());
        let web = pod("default", "web", "uid-1", NODE, "127.0.0.1");
        cluster.add(web.container("main", "c1").ended_container("done", "c2"));
        cluster.add(pod("default", "far", "uid-2", "node-b", "10.0.0.2").container("main", "c3"));
        let embedded = Arc::new(embedded);
        let runtime = Runtime::Embedded(embedded.clone());
        let kubelet = Kubelet::start(NODE, cluster.clone(), &pki, runtime)
            .await
            .unwrap();
        let admin = pki.client("admin", &["system:masters"]).unwrap();
        Self {
            pki,
            admin,
            cluster,
            embedded,
            kubelet,
        }
    }

    async fn dial(&self, user: Option<&Issued>) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.pki.client_config(user).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", self.kubelet.port())).await?;
        TlsConnector::from(Arc::new(config))
            .connect(NODE.try_into().unwrap(), tcp)
            .await
    }

    /// The whole answer to a request without upgrade, without its `Date` line.
    async fn ask(&self, user: Option<&Issued>, request: &str, headers: &str) -> String {
        let mut tls = self.dial(user).await.unwrap();
        let request =
            format!("{request} HTTP/1.1\r\nHost: {NODE}\r\nConnection: close\r\n{headers}\r\n");
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(tls.read_to_string(&mut answer)).await.unwrap();
        answer
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with("Date: "))
            .collect()
    }

    async fn exec(&self, argv: &[&str], flags: &str) -> Spdy {
        Spdy::open(self.upgrade(argv, flags).await, flags).await
    }

    /// An exec up to the 101.
    async fn upgrade(&self, argv: &[&str], flags: &str) -> TlsStream<TcpStream> {
        let mut tls = self.dial(Some(&self.admin)).await.unwrap();
        tls.write_all(upgrade_request(argv, flags).as_bytes())
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(tls.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("\r\nupgrade: spdy/3.1\r\n"), "{head}");
        assert!(
            head.contains("\r\nx-stream-protocol-version: v4.channel.k8s.io\r\n"),
            "{head}"
        );
        tls
    }
}

fn upgrade_request(argv: &[&str], flags: &str) -> String {
    let encode = |part: &&str| {
        let bytes = percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC);
        format!("&command={bytes}")
    };
    let command: String = argv.iter().map(encode).collect();
    format!(
        "POST /exec/default/web/main?{flags}{command} HTTP/1.1\r\nHost: {NODE}\r\n\
         Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
    )
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("nothing came for 20 s")
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Frame {
    Reply { id: u32, payload: usize },
    Data { id: u32, fin: bool, bytes: Vec<u8> },
    Reset { id: u32, status: u32 },
    Ping(u32),
    GoAway { last: u32, status: u32 },
}

fn data(id: u32, bytes: impl AsRef<[u8]>) -> Frame {
    Frame::Data {
        id,
        fin: false,
        bytes: bytes.as_ref().to_vec(),
    }
}

fn fin(id: u32) -> Frame {
    Frame::Data {
        id,
        fin: true,
        bytes: Vec::new(),
    }
}

#[derive(Debug)]
struct Spdy {
    tls: TlsStream<TcpStream>,
    replies: Vec<Frame>,
}

impl Spdy {
    /// Opens error=1, then stdin, stdout, stderr and resize as the flags say, 3, 5, …
    async fn open(tls: TlsStream<TcpStream>, flags: &str) -> Self {
        let mut spdy = Self {
            tls,
            replies: Vec::new(),
        };
        let wanted = [
            ("input", "stdin"),
            ("output", "stdout"),
            ("error", "stderr"),
            ("tty", "resize"),
        ];
        let asked = wanted
            .iter()
            .filter(|(flag, _)| flags.contains(&format!("{flag}=1")));
        let kinds: Vec<&str> = ["error"]
            .into_iter()
            .chain(asked.map(|(_, kind)| *kind))
            .collect();
        for (index, kind) in kinds.iter().enumerate() {
            spdy.tls
                .write_all(&syn(2 * index as u32 + 1, kind))
                .await
                .unwrap();
        }
        for _ in kinds {
            let reply = spdy.frame().await.unwrap();
            spdy.replies.push(reply);
        }
        spdy
    }

    async fn send(&mut self, id: u32, fin: bool, bytes: &[u8]) {
        let head = u32::from(fin) << 24 | bytes.len() as u32;
        self.tls
            .write_all(&[&be(id)[..], &be(head), bytes].concat())
            .await
            .unwrap();
    }

    /// The next frame; none at the end of the connection.
    async fn frame(&mut self) -> std::io::Result<Frame> {
        soon(async {
            let (first, second) = (self.tls.read_u32().await?, self.tls.read_u32().await?);
            let mut payload = vec![0; (second & 0xff_ffff) as usize];
            self.tls.read_exact(&mut payload).await?;
            if first < 0x8000_0000 {
                return Ok(Frame::Data {
                    id: first,
                    fin: second >> 24 == 1,
                    bytes: payload,
                });
            }
            let field = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            Ok(match first {
                0x8003_0002 => Frame::Reply {
                    id: field(0),
                    payload: payload.len(),
                },
                0x8003_0003 => Frame::Reset {
                    id: field(0),
                    status: field(4),
                },
                0x8003_0006 => Frame::Ping(field(0)),
                0x8003_0007 => Frame::GoAway {
                    last: field(0),
                    status: field(4),
                },
                other => panic!("control frame {other:08x}"),
            })
        })
        .await
    }

    /// All frames to a clean end.
    async fn rest(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.frame().await {
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                    return frames;
                }
            }
        }
    }

    /// What came on a stream, to where it is enough.
    async fn until(&mut self, id: u32, enough: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !enough(&text) {
            if let Frame::Data { id: of, bytes, .. } = self.frame().await.unwrap()
                && of == id
            {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        text
    }
}

fn be(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// SYN_STREAM; stream 1 comes first and so begins the zlib stream.
fn syn(id: u32, kind: &str) -> Vec<u8> {
    let zlib: &[u8] = if id == 1 { &[0x78, 0x01] } else { &[] };
    let payload = [&be(id)[..], &be(0), &[0, 0], zlib, &block(kind)].concat();
    [&[0x80, 3, 0, 1][..], &be(payload.len() as u32), &payload].concat()
}

/// `streamtype: <kind>` in a stored deflate block, and the empty one that flushes.
fn block(kind: &str) -> Vec<u8> {
    let pairs = [
        &be(1)[..],
        &be(10),
        b"streamtype",
        &be(kind.len() as u32),
        kind.as_bytes(),
    ]
    .concat();
    let length = pairs.len() as u16;
    [
        &[0][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        &pairs,
        &[0, 0, 0, 0xff, 0xff],
    ]
    .concat()
}

fn status(frames: &[Frame]) -> serde_json::Value {
    let mut statuses = frames.iter().filter_map(|frame| match frame {
        Frame::Data { id: 1, bytes, .. } => Some(serde_json::from_slice(bytes).unwrap()),
        _ => None,
    });
    let status = statuses.next().expect("a status");
    assert_eq!(statuses.next(), None);
    status
}

fn output(frames: &[Frame], stream: u32) -> String {
    let bytes = frames.iter().filter_map(|frame| match frame {
        Frame::Data { id, bytes, .. } if *id == stream => Some(bytes.as_slice()),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
}

fn exit_code(status: &serde_json::Value) -> &str {
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["reason"], "ExitCode");
    status["details"]["causes"][0]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_whole_exec_has_the_frames_of_a_real_one() {
    let stand = Stand::new().await;
    let argv = ["sh", "-c", "cat >&2; echo out; exit 5"];
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    let reply = |id, payload| Frame::Reply { id, payload };
    assert_eq!(
        spdy.replies,
        [reply(1, 20), reply(3, 14), reply(5, 14), reply(7, 14)]
    );
    spdy.send(3, false, b"hello").await;
    assert_eq!(spdy.frame().await.unwrap(), data(7, "hello"));
    spdy.send(3, true, b"").await;
    let mut frames = spdy.rest().await;
    // The two outputs end at the same time.
    frames[1..3].sort_by_key(|frame| matches!(frame, Frame::Data { id: 7, .. }));
    let status = r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: error executing command [sh -c cat \u003e\u00262; echo out; exit 5], exit code 5","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"5"}]}}"#;
    let expected = [
        data(5, "out\n"),
        fin(5),
        fin(7),
        data(1, status),
        Frame::Reset { id: 1, status: 5 },
        Frame::Reset { id: 3, status: 5 },
        Frame::GoAway { last: 7, status: 0 },
    ];
    assert_eq!(frames, expected);
    stand.kubelet.until_open_execs(0).await;
    assert_eq!(stand.kubelet.total_execs(), 1);
    assert_eq!(stand.embedded.running(), []);
}

#[tokio::test]
async fn exit_statuses_are_told_apart() {
    let stand = Stand::new().await;
    let run = async |argv: &[&str]| stand.exec(argv, "output=1&error=1").await.rest().await;
    assert_eq!(
        status(&run(&["true"]).await),
        serde_json::json!({"metadata": {}, "status": "Success"})
    );
    assert_eq!(exit_code(&status(&run(&["sh", "-c", "exit 7"]).await)), "7");
    assert_eq!(
        exit_code(&status(&run(&["sh", "-c", "kill -9 $$"]).await)),
        "137"
    );

    let not_started = |frames: &[Frame], why: &str| {
        let status = status(frames);
        assert_eq!(status["reason"], "InternalError");
        let message = status["message"].as_str().unwrap();
        assert!(
            message.ends_with(&format!("unable to start container process: {why}")),
            "{message}"
        );
        let resets = [1, 3, 5].map(|id| Frame::Reset { id, status: 5 });
        assert_eq!(
            frames[1..],
            [&resets[..], &[Frame::GoAway { last: 5, status: 0 }]].concat()
        );
    };
    let missing = run(&["/nope"]).await;
    not_started(
        &missing,
        r#"exec: "/nope": stat /nope: no such file or directory"#,
    );
    let unknown = run(&["nope"]).await;
    not_started(
        &unknown,
        r#"exec: "nope": executable file not found in $PATH"#,
    );
    let passwd = run(&["/etc/passwd"]).await;
    not_started(&passwd, r#"exec: "/etc/passwd": permission denied"#);
}

#[tokio::test]
async fn a_container_without_a_shell_has_none() {
    let stand = Stand::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/pwd", folder.path().join("pwd")).unwrap();
    let container = EmbeddedContainer {
        dir: Some("/usr".into()),
        path: Some(folder.path().to_str().unwrap().to_owned()),
        ..EmbeddedContainer::default()
    };
    stand.embedded.container("c1", container);
    let frames = stand
        .exec(&["sh", "-c", "true"], "output=1")
        .await
        .rest()
        .await;
    assert_eq!(status(&frames)["reason"], "InternalError");
    let frames = stand.exec(&["pwd"], "output=1").await.rest().await;
    assert_eq!(output(&frames, 3), "/usr\n");
}

#[tokio::test]
async fn a_command_leads_its_own_session_and_sees_little_environment() {
    let stand = Stand::new().await;
    let argv = [
        "sh",
        "-c",
        "echo $$; cut -d' ' -f5,6 /proc/$$/stat; env | cut -d= -f1 | sort",
    ];
    for flags in ["output=1&error=1", "input=1&output=1&tty=1"] {
        let mut frames = Vec::new();
        let mut spdy = stand.exec(&argv, flags).await;
        while let Ok(frame) = spdy.frame().await {
            frames.push(frame);
        }
        let text = output(&frames, if flags.contains("tty") { 5 } else { 3 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{0} {0}", lines[0]), "{text}");
        assert!(lines.contains(&"HOME") && lines.contains(&"PATH"), "{text}");
        assert_eq!(lines.contains(&"TERM"), flags.contains("tty"), "{text}");
        assert!(
            !lines.iter().any(|line| line.starts_with("CARGO")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn stdin_is_cut_short_as_containerd_does_unless_told_not_to() {
    // `exec` closes stdout long before the input has come.
    let argv = ["sh", "-c", "exec >&-; cat >got; test -s got"];
    let stand = Stand::new().await;
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    spdy.send(3, true, b"late").await;
    assert_eq!(exit_code(&status(&spdy.rest().await)), "1");

    let stand = Stand::with(Embedded::new().unwrap().close_stdin_early(false)).await;
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    spdy.send(3, true, b"late").await;
    assert_eq!(status(&spdy.rest().await)["status"], "Success");
}

#[tokio::test]
async fn a_megabyte_comes_back_whole() {
    let stand = Stand::new().await;
    let mut spdy = stand.exec(&["cat"], "input=1&output=1&error=1").await;
    let sent: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    let mut got = Vec::new();
    for chunk in sent.chunks(32 * 1024) {
        spdy.send(3, false, chunk).await;
        let until = got.len() + chunk.len();
        while got.len() < until {
            let Frame::Data { id: 5, bytes, .. } = spdy.frame().await.unwrap() else {
                panic!()
            };
            got.extend(bytes);
        }
    }
    spdy.send(3, true, b"").await;
    assert!(got == sent);
    assert_eq!(status(&spdy.rest().await)["status"], "Success");
}

#[tokio::test]
async fn a_terminal_has_one_output_and_follows_the_resize_stream() {
    let stand = Stand::new().await;
    let argv = [
        "sh",
        "-c",
        "trap 'stty size; exit 3' WINCH; echo ready; sleep 1000 & wait",
    ];
    let mut spdy = stand.exec(&argv, "input=1&output=1&error=1&tty=1").await;
    // `tty` drops `error`, so the server does not wait for stderr; our 7 is stderr, 9 resize.
    spdy.until(5, |text| text.contains("ready")).await;
    spdy.send(9, false, br#"{"Width":132,"Height":43}"#).await;
    spdy.until(5, |text| text.contains("43 132")).await;
    let frames = spdy.rest().await;
    assert_eq!(exit_code(&status(&frames)), "3");
    assert!(frames.contains(&fin(5)));
    let resets = [1, 3, 9].map(|id| Frame::Reset { id, status: 5 });
    assert!(frames.ends_with(&[&resets[..], &[Frame::GoAway { last: 9, status: 0 }]].concat()));
}

#[tokio::test]
async fn a_terminal_turns_control_characters_into_signals() {
    let stand = Stand::new().await;
    let mut spdy = stand
        .exec(
            &["sh", "-c", "echo ready; exec cat"],
            "input=1&output=1&tty=1",
        )
        .await;
    spdy.until(5, |text| text.contains("ready")).await;
    spdy.send(3, false, &[3]).await;
    assert_eq!(exit_code(&status(&spdy.rest().await)), "130");
}

#[tokio::test]
async fn a_half_close_ends_the_output_of_a_terminal() {
    let stand = Stand::new().await;
    let mut spdy = stand
        .exec(
            &["sh", "-c", "read line; echo $line"],
            "input=1&output=1&tty=1",
        )
        .await;
    spdy.send(3, true, b"").await;
    assert_eq!(spdy.frame().await.unwrap(), fin(5));
    spdy.send(3, false, b"unseen\n").await;
    let frames = spdy.rest().await;
    assert_eq!(output(&frames, 5), "");
    assert_eq!(status(&frames)["status"], "Success");
}

#[tokio::test]
async fn losing_the_client_leaves_a_terminal_and_ends_stdin_without() {
    let stand = Stand::new().await;
    let mut tty = stand.exec(&["sh"], "input=1&output=1&tty=1").await;
    tty.until(5, |text| !text.is_empty()).await;
    let mut pipe = stand
        .exec(&["sh", "-c", "echo on; cat; sleep 0"], "input=1&output=1")
        .await;
    pipe.until(5, |text| !text.is_empty()).await;
    assert_eq!(stand.embedded.running().len(), 2);
    drop((tty, pipe));
    stand.kubelet.until_open_execs(0).await;
    soon(stand.embedded.until_running(1)).await;
    let left = stand.embedded.running();
    assert!(left[0].tty, "{left:?}");
    let pid = left[0].pid;
    drop(stand);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn the_end_of_the_runtime_takes_descendants_along() {
    let stand = Stand::new().await;
    let argv = ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"];
    let mut spdy = stand.exec(&argv, "output=1").await;
    let pid = spdy.until(3, |text| text.ends_with('\n')).await;
    drop(stand);
    // Whoever inherited it may not have reaped it yet.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn refusals_are_worded_as_by_a_kubelet() {
    let stand = Stand::new().await;
    let plain = |status: &str, length: usize, rest: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{rest}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let check = |answer: String, status: &str, nosniff: bool, body: &str| {
        let nosniff = if nosniff {
            "X-Content-Type-Options: nosniff\r\n"
        } else {
            ""
        };
        let (head, got) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(got, body);
        let mut lines: Vec<_> = head.split("\r\n").collect();
        let expected = plain(status, body.len(), nosniff);
        let mut expected: Vec<_> = expected.trim_end().split("\r\n").collect();
        lines.sort_unstable_by_key(|line| line.to_ascii_lowercase());
        expected.sort_unstable_by_key(|line| line.to_ascii_lowercase());
        assert_eq!(lines, expected);
    };
    let admin = Some(&stand.admin);
    check(
        stand.ask(None, "GET /pods", "").await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );
    let foreign = Pki::new().unwrap().client("admin", &[]).unwrap();
    check(
        stand.ask(Some(&foreign), "GET /pods", "").await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );

    let user = "system:serviceaccount:default:default";
    stand.kubelet.access().add_token("abc", user);
    stand.kubelet.access().forbid(user);
    let bearer = "Authorization: Bearer abc\r\n";
    check(
        stand.ask(None, "GET /pods", bearer).await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=get, resource=nodes, subresource(s)=[pods proxy])\n",
    );
    check(
        stand
            .ask(None, "POST /exec/default/web/main?output=1", bearer)
            .await,
        "403 Forbidden",
        false,
        "Forbidden (user=system:serviceaccount:default:default, verb=create, resource=nodes, subresource(s)=[proxy])\n",
    );
    stand.kubelet.access().permit(user);
    assert!(
        stand
            .ask(None, "GET /pods", bearer)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    stand.kubelet.access().remove_token("abc");
    check(
        stand.ask(None, "GET /pods", bearer).await,
        "401 Unauthorized",
        false,
        "Unauthorized",
    );

    for pod in ["nope", "far"] {
        let request = format!("POST /exec/default/{pod}/main?output=1");
        let answer = stand.ask(admin, &request, "").await;
        check(answer, "404 Not Found", false, "pod does not exist");
    }
    for container in ["nope", "done"] {
        let request = format!("POST /exec/default/web/{container}?output=1");
        let answer = stand.ask(admin, &request, "").await;
        let body = format!("container not found (\"{container}\")");
        check(answer, "500 Internal Server Error", false, &body);
    }
    for path in ["default/web/main", "default/web/any-uid/main"] {
        let request = format!("POST /exec/{path}?output=1&command=true");
        let answer = stand.ask(admin, &request, "").await;
        check(
            answer,
            "500 Internal Server Error",
            true,
            "Upgrade request required\n",
        );
    }
    let answer = stand
        .ask(admin, "POST /exec/default/web/main?output=true", "")
        .await;
    let body = "you must specify at least 1 of stdin, stdout, stderr";
    check(answer, "400 Bad Request", false, body);
    check(
        stand.ask(admin, "GET /healthz", "").await,
        "200 OK",
        true,
        "ok",
    );
}

#[tokio::test]
async fn an_unknown_sub_protocol_is_refused_with_the_list() {
    let stand = Stand::new().await;
    let mut tls = stand.dial(Some(&stand.admin)).await.unwrap();
    let request = upgrade_request(&["true"], "output=1").replace(": v4", ": v9");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"channel.k8s.io]\n") || filled < 344 {
        filled += soon(tls.read(&mut answer[filled..])).await.unwrap();
    }
    let answer = String::from_utf8_lossy(&answer[..filled]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 344\r\n"), "{answer}");
    assert_eq!(
        answer
            .matches("\r\nX-Accepted-Stream-Protocol-Versions: ")
            .count(),
        4,
        "{answer}"
    );
}

#[tokio::test]
async fn pods_are_those_of_the_node_as_they_are_now() {
    let stand = Stand::new().await;
    let names = async || {
        let answer = stand.ask(Some(&stand.admin), "GET /pods", "").await;
        let list: serde_json::Value =
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(
            (&list["kind"], &list["apiVersion"]),
            (&"PodList".into(), &"v1".into())
        );
        assert!(list["items"][0].get("kind").is_none());
        let status = &list["items"][0]["status"]["containerStatuses"][0];
        assert_eq!(status["containerID"], "containerd://c1");
        assert!(status["state"]["running"].is_object());
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|pod| pod["metadata"]["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["web"]);
    stand
        .cluster
        .add(pod("default", "web-2", "uid-3", NODE, "127.0.0.1"));
    assert_eq!(names().await, ["web", "web-2"]);
    stand.cluster.remove("default", "web-2");
    assert_eq!(names().await, ["web"]);
    assert_eq!(stand.kubelet.pods_requests(), 3);
}

#[tokio::test]
async fn data_before_the_reply_is_lost() {
    let stand = Stand::new().await;
    let mut tls = stand.upgrade(&["cat"], "input=1&output=1").await;
    let early = [&be(3)[..], &be(5), b"early"].concat();
    let all = [syn(1, "error"), syn(3, "stdin"), early, syn(5, "stdout")];
    tls.write_all(&all.concat()).await.unwrap();
    let mut spdy = Spdy {
        tls,
        replies: Vec::new(),
    };
    for _ in 0..3 {
        assert!(matches!(spdy.frame().await.unwrap(), Frame::Reply { .. }));
    }
    spdy.send(3, true, b"late").await;
    assert_eq!(output(&spdy.rest().await, 5), "late");
}

#[tokio::test]
async fn pings_come_back() {
    let stand = Stand::new().await;
    let mut spdy = stand.exec(&["cat"], "input=1&output=1").await;
    spdy.tls
        .write_all(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9])
        .await
        .unwrap();
    assert_eq!(spdy.frame().await.unwrap(), Frame::Ping(9));
}

#[tokio::test]
async fn legs_break_and_mend() {
    let stand = Stand::new().await;
    stand.kubelet.set_leg(Leg::Refused).await.unwrap();
    let error = stand.dial(None).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    for leg in [Leg::TlsSilent, Leg::HttpSilent] {
        stand.kubelet.set_leg(leg).await.unwrap();
        let answer = stand.ask(Some(&stand.admin), "GET /healthz", "");
        tokio::time::timeout(Duration::from_millis(100), answer)
            .await
            .unwrap_err();
    }
    stand.kubelet.set_leg(Leg::Up).await.unwrap();
    stand.ask(Some(&stand.admin), "GET /healthz", "").await;
}

#[tokio::test]
async fn a_restart_drops_execs_and_keeps_the_port() {
    let stand = Stand::new().await;
    let (port, mut spdy) = (
        stand.kubelet.port(),
        stand.exec(&["cat"], "input=1&output=1").await,
    );
    assert_eq!(stand.kubelet.open_execs(), 1);
    stand.kubelet.restart().await.unwrap();
    assert_eq!(stand.kubelet.open_execs(), 0);
    spdy.frame().await.unwrap_err();
    assert_eq!(stand.kubelet.port(), port);
    let frames = stand.exec(&["true"], "output=1").await.rest().await;
    assert_eq!(status(&frames)["status"], "Success");
    soon(stand.embedded.until_running(0)).await;
}

#[tokio::test]
async fn certificates_can_be_wrong() {
    let stand = Stand::new().await;
    for certificate in [ServerCertificate::Untrusted, ServerCertificate::WrongName] {
        stand.kubelet.faults().set_certificate(certificate);
        let error = stand.dial(None).await.unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::InvalidData,
            "{certificate:?}"
        );
    }
    stand
        .kubelet
        .faults()
        .set_certificate(ServerCertificate::Good);
    stand.dial(None).await.unwrap();
}

#[tokio::test]
async fn execs_can_fail_in_every_way() {
    let stand = Stand::new().await;
    let faults = stand.kubelet.faults();
    faults.set_exec(ExecFault::Answer(429, "busy".to_owned()));
    let answer = stand
        .ask(
            Some(&stand.admin),
            "POST /exec/default/web/main?output=1",
            "",
        )
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 429 ") && answer.ends_with("busy"),
        "{answer}"
    );
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");

    faults.set_exec(ExecFault::Unanswered);
    let silent = stand.upgrade(&["true"], "output=1");
    tokio::time::timeout(Duration::from_millis(100), silent)
        .await
        .unwrap_err();

    faults.set_exec(ExecFault::Mute);
    let mute = stand.exec(&["true"], "output=1");
    tokio::time::timeout(Duration::from_millis(100), mute)
        .await
        .unwrap_err();

    faults.set_exec(ExecFault::None);
    faults.set_omit_status(true);
    let frames = stand.exec(&["true"], "output=1").await.rest().await;
    assert_eq!(frames[0..2], [fin(3), Frame::Reset { id: 1, status: 5 }]);
    faults.set_omit_status(false);

    // Two replies of 28 and 22 bytes, and five of a data frame's head.
    faults.set_cut_after(Some(55));
    let mut cut = stand.upgrade(&["echo", "hi"], "output=1").await;
    let streams = [syn(1, "error"), syn(3, "stdout")].concat();
    cut.write_all(&streams).await.unwrap();
    let mut got = Vec::new();
    soon(cut.read_to_end(&mut got)).await.unwrap_err();
    assert_eq!(got.len(), 55);
    faults.set_cut_after(None);
    stand.kubelet.until_open_execs(0).await;
}

#[tokio::test]
async fn a_slow_reader_is_slow() {
    let stand = Stand::new().await;
    stand.kubelet.faults().set_read_rate(2000);
    let begin = std::time::Instant::now();
    let mut spdy = stand.exec(&["wc", "-c"], "input=1&output=1").await;
    spdy.send(3, true, &[b'x'; 1000]).await;
    let frames = spdy.rest().await;
    assert_eq!(output(&frames, 5).trim(), "1000");
    assert!(
        begin.elapsed() > Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
}
