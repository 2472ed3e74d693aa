//! A kubelet with a pod, and a bare HTTP client of it.

use std::sync::Arc;

use podgate_tests::fixtures::pki::{Issued, Pki};
use podgate_tests::real;
use podgate_tests::stand_ins::cluster::{Cluster, pod};
use podgate_tests::stand_ins::embedded::Embedded;
use podgate_tests::stand_ins::kubelet::{Kubelet, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::soon::soon;
use super::spdy::Spdy;

pub(super) const NODE: &str = "node-a";

/// A kubelet on this machine. Its pod of namespace `default` has container `main`, which runs, and
/// `done`, which has ended.
pub(super) trait Node: Sized {
    async fn start() -> Self;

    fn pki(&self) -> &Pki;

    fn admin(&self) -> &Issued;

    fn port(&self) -> u16;

    /// The pod's name.
    fn pod(&self) -> &str;

    async fn dial(&self, user: Option<&Issued>) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.pki().client_config(user).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", self.port())).await?;
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
        let mut answer = Vec::new();
        let ended = soon(tls.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        ended.expect(&answer);
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
        let mut tls = self.dial(Some(self.admin())).await.unwrap();
        tls.write_all(self.upgrade_request(argv, flags).as_bytes())
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

    fn upgrade_request(&self, argv: &[&str], flags: &str) -> String {
        let encode = |part: &&str| {
            let bytes =
                percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC);
            format!("&command={bytes}")
        };
        let command: String = argv.iter().map(encode).collect();
        format!(
            "POST /exec/default/{}/main?{flags}{command} HTTP/1.1\r\nHost: {NODE}\r\n\
             Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n",
            self.pod()
        )
    }
}

/// Runs each of these test bodies against the stand-in. The same against a kubelet are ignored tests,
/// which `tests/all` runs where `PODGATE_KUBELET` names one.
macro_rules! against_both {
    ($($body:ident),+ $(,)?) => {
        mod stand_in {
            $(
                #[tokio::test]
                async fn $body() {
                    use crate::kubelet::node::{Node, Stand};
                    super::$body(Stand::start().await).await;
                }
            )+
        }

        mod real_kubelet {
            $(
                #[tokio::test]
                #[ignore = "needs PODGATE_KUBELET"]
                async fn $body() {
                    use crate::kubelet::node::{Node, Real};
                    super::$body(Real::start().await).await;
                }
            )+
        }
    };
}
pub(super) use against_both;

/// The stand-in.
pub(super) struct Stand {
    pub(super) pki: Pki,
    pub(super) admin: Issued,
    pub(super) cluster: Cluster,
    pub(super) embedded: Arc<Embedded>,
    pub(super) kubelet: Kubelet,
}

impl Stand {
    pub(super) async fn new() -> Self {
        Self::with(Embedded::new().unwrap()).await
    }

    pub(super) async fn with(embedded: Embedded) -> Self {
        let embedded = Arc::new(embedded);
        Self::over(Runtime::Embedded(embedded.clone()), embedded, "c1").await
    }

    /// The pod's container `main` has this id in `runtime`.
    pub(super) async fn over(runtime: Runtime, embedded: Arc<Embedded>, id: &str) -> Self {
        let (pki, cluster) = (Pki::new().unwrap(), Cluster::new());
        let web = pod("default", "web", "uid-1", NODE, "127.0.0.1");
        cluster.add(web.container("main", id).ended_container("done", "c2"));
        cluster.add(pod("default", "far", "uid-2", "node-b", "10.0.0.2").container("main", "c3"));
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
}

impl Node for Stand {
    async fn start() -> Self {
        Self::new().await
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn admin(&self) -> &Issued {
        &self.admin
    }

    fn port(&self) -> u16 {
        self.kubelet.port()
    }

    fn pod(&self) -> &str {
        "web"
    }
}

/// A kubelet with a containerd.
pub(super) struct Real {
    pki: Pki,
    admin: Issued,
    kubelet: real::kubelet::Kubelet,
    pod: String,
}

impl Node for Real {
    async fn start() -> Self {
        let pki = Pki::new().unwrap();
        Self {
            kubelet: real::kubelet::Kubelet::start(NODE, &pki).await.unwrap(),
            admin: pki.client("admin", &["system:masters"]).unwrap(),
            pki,
            // The kubelet names a pod of its own after its node too.
            pod: format!("web-{NODE}"),
        }
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn admin(&self) -> &Issued {
        &self.admin
    }

    fn port(&self) -> u16 {
        self.kubelet.port()
    }

    fn pod(&self) -> &str {
        &self.pod
    }
}
