//! Where recordings are kept: an object store or a local folder. Each call has a limit in time, and none
//! is repeated here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig};
use tokio::time::timeout;

/// How long the store may take to begin an answer, with a connection that is not there yet.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes a second that a store takes at least.
const SLOWEST: u64 = 512;
/// Namespaces of a day that are looked at.
const NAMESPACES: usize = 10_000;

/// The store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{0}")]
    Url(String),
    #[error("{0}")]
    Store(#[from] object_store::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0} is too long")]
    Long(String),
}

/// Which store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// Such as `endpoint` and `region`: the keys of object_store.
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Store {
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, Error> {
        let url = config.url.as_str();
        let wrong = || Error::Url(format!("{url:?} is neither file:///FOLDER nor s3://BUCKET"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        match scheme {
            "file" if rest.starts_with('/') => {
                let objects = LocalFileSystem::new_with_prefix(rest)?.with_fsync(true);
                let prefix = String::new();
                Ok(Self {
                    objects: Arc::new(objects),
                    prefix,
                })
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let options = config.options.iter();
                let s3 = s3(bucket, options)?;
                let prefix = prefix.trim_matches('/').to_owned();
                Ok(Self {
                    objects: Arc::new(s3),
                    prefix,
                })
            }
            _ => Err(wrong()),
        }
    }

    /// Writes an object. A reader sees the whole of it or nothing.
    pub(crate) async fn put(&self, name: &str, object: Bytes) -> Result<(), Error> {
        let limit = LIMIT + Duration::from_secs(object.len() as u64 / SLOWEST);
        let path = self.path(name);
        let put = self.objects.put(&path, object.into());
        let put = timeout(limit, put).await.map_err(|_| Error::Late(limit))?;
        Ok(put.map(|_| ())?)
    }

    /// Writes an object, unless it is there already. Returns whether it did.
    pub(crate) async fn create(&self, name: &str, object: Bytes) -> Result<bool, Error> {
        let path = self.path(name);
        let create = self
            .objects
            .put_opts(&path, object.into(), PutMode::Create.into());
        match timeout(LIMIT, create)
            .await
            .map_err(|_| Error::Late(LIMIT))?
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an object that may be as long as this; `None` if there is none.
    pub(crate) async fn get(&self, name: &str, most: u64) -> Result<Option<Bytes>, Error> {
        let path = self.path(name);
        let get = async {
            let object = match self.objects.get(&path).await {
                Ok(object) => object,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if object.meta.size > most {
                return Err(Error::Long(name.to_owned()));
            }
            Ok(Some(object.bytes().await?))
        };
        let limit = LIMIT + Duration::from_secs(most / SLOWEST / 64);
        timeout(limit, get).await.map_err(|_| Error::Late(limit))?
    }

    /// The names of the folders in a folder.
    pub(crate) async fn folders(&self, name: &str) -> Result<Vec<String>, Error> {
        let path = self.path(name);
        let list = self.objects.list_with_delimiter(Some(&path));
        let list = timeout(LIMIT, list)
            .await
            .map_err(|_| Error::Late(LIMIT))??;
        let names = list.common_prefixes.iter().take(NAMESPACES);
        Ok(names
            .filter_map(|path| Some(path.filename()?.to_owned()))
            .collect())
    }

    /// Calls `each` with the name of each object in a folder.
    pub(crate) async fn files(&self, name: &str, mut each: impl FnMut(&str)) -> Result<(), Error> {
        self.tree(name, |_, file| each(file)).await
    }

    /// Calls `each` with the name of each object below a folder, after that of the folder that it is in.
    pub(crate) async fn tree(
        &self,
        name: &str,
        mut each: impl FnMut(&str, &str),
    ) -> Result<(), Error> {
        let path = self.path(name);
        let mut list = self.objects.list(Some(&path));
        loop {
            let next = timeout(LIMIT, list.next()).await;
            match next.map_err(|_| Error::Late(LIMIT))? {
                Some(object) => {
                    let path = object?.location;
                    let mut parts = path.as_ref().rsplit('/');
                    if let (Some(file), Some(folder)) = (parts.next(), parts.next()) {
                        each(folder, file);
                    }
                }
                None => return Ok(()),
            }
        }
    }

    fn path(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }
}

/// Credentials come from the environment, as AWS's own programs take them: keys, a web identity's token
/// or the node's.
fn s3<'a>(
    bucket: &str,
    options: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<impl ObjectStore + 'static, Error> {
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout_disabled();
    // The caller repeats, and knows for how long.
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry);
    for (key, value) in options {
        let key: AmazonS3ConfigKey = key.parse()?;
        builder = builder.with_config(key, value);
    }
    Ok(builder.build()?)
}
