//! A server of S3 whose answers a test switches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::name::Id;
use crate::recorder::Config;
use crate::store::StoreConfig;
use crate::verify::{Verdict, Verifier};

/// A recorder's configuration with little memory.
pub(crate) fn config(url: String, options: &[(&str, &str)]) -> Config {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let options = options.iter().map(owned).collect();
    Config {
        store: StoreConfig { url, options },
        spool_bytes: 8 << 20,
        spool_bytes_per_session: 3 << 20,
        folder: None,
        recipients: vec![],
    }
}

/// What a server of S3 does with an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The status of its answer.
    Status(u16),
    /// The connection is cut in the middle of the object.
    Cut,
    /// It never answers.
    Silent,
}

/// A server that keeps what is put, and shows it.
#[derive(Clone)]
pub(crate) struct S3 {
    fault: Arc<Mutex<Fault>>,
    pub(crate) objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl S3 {
    pub(crate) async fn start(tasks: &TaskTracker) -> (Self, Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (fault, objects) = (Arc::new(Mutex::new(Fault::None)), Arc::default());
        let this = Self { fault, objects };
        let (serve, connections) = (this.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serve = serve.clone();
                connections.spawn(async move { serve.connection(stream).await });
            }
        });
        let options = [
            ("endpoint", endpoint.as_str()),
            ("allow_http", "true"),
            ("region", "x"),
            ("access_key_id", "a"),
            ("secret_access_key", "s"),
        ];
        (this, config("s3://bucket/prefix".to_owned(), &options))
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Serves a connection's requests. `None` ends it.
    async fn connection(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let head = loop {
                if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
            };
            let text = String::from_utf8(buffer.drain(..head).collect()).ok()?;
            let mut words = text.split(' ');
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let lower = text.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap_or("0").parse().ok()?;
            let fault = *self.fault.lock().unwrap();
            let wanted = if fault == Fault::Cut {
                length / 2
            } else {
                length
            };
            while buffer.len() < wanted {
                (stream.read_buf(&mut buffer).await.ok()? > 0).then_some(())?;
            }
            let status = match fault {
                Fault::Cut => return None,
                Fault::Silent => std::future::pending().await,
                Fault::Status(status) => status,
                Fault::None => 200,
            };
            let body: Vec<u8> = buffer.drain(..length).collect();
            if (method.as_str(), status) == ("PUT", 200) {
                self.objects.lock().unwrap().insert(path, body);
            }
            let answer = format!("HTTP/1.1 {status} x\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    }

    /// Waits until a recording's chunks that are there have this text.
    pub(crate) async fn has(&self, id: &Id, text: &str) {
        while !self.text(id).contains(text) {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of a recording's chunks that are there.
    pub(crate) fn text(&self, id: &Id) -> String {
        let objects = self.objects.lock().unwrap();
        let chunks = objects.iter();
        let chunks = chunks.filter(|(path, _)| path.contains(&format!("{id}/")));
        let text =
            chunks.flat_map(|(_, chunk)| crate::chunk::open(chunk).unwrap().1.text().unwrap());
        String::from_utf8(text.collect()).unwrap()
    }

    /// The recording's chunks that are there, checked.
    pub(crate) fn verify(&self, id: &Id) -> Verdict {
        let objects = self.objects.lock().unwrap();
        let mut verifier = Verifier::new(id.as_str());
        for (path, object) in objects.iter() {
            if path.contains("/recordings/") && path.contains(id.as_str()) {
                verifier.chunk(object).unwrap();
            }
        }
        verifier.verdict()
    }
}
