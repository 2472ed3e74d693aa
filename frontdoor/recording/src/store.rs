//! Where recordings are kept: an object store or a local folder. Each call has a limit in time, but for
//! writing into a local folder: a call of a file system that hangs goes on when nobody waits for it any
//! more, so a second one would wait beside it.
mod cloud;
mod error;
mod list;
mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};
use tokio::time::timeout;

pub use error::Error;
use error::LIMIT;

/// Bytes a second that a store takes at least.
const SLOWEST: u64 = 512;

/// Which store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    pub url: String,
    /// Such as `endpoint` and `region`: the keys of object_store.
    pub options: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
    /// If it is a local folder.
    folder: Option<PathBuf>,
}

impl Store {
    /// Opens it. Calls of a cloud's store are repeated so often.
    pub(crate) fn open(config: &StoreConfig, retries: usize) -> Result<Self, Error> {
        let url = config.url.as_str();
        let wrong = || Error::Url(format!("{url:?} is no URL of a store"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if scheme == "file" && rest.starts_with('/') {
            let objects = LocalFileSystem::new_with_prefix(rest)?.with_fsync(true);
            return Ok(Self {
                objects: Arc::new(objects),
                prefix: String::new(),
                folder: Some(PathBuf::from(rest)),
            });
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let objects = cloud::open(scheme, bucket, &config.options, retries)?;
        Ok(Self {
            objects: objects.ok_or_else(wrong)?,
            prefix: prefix.trim_matches('/').to_owned(),
            folder: None,
        })
    }

    /// Writes an object. A reader sees the whole of it or nothing. The more tries of it have failed before,
    /// the longer it may take: a connection that is dead costs a short time, and a store that is slow gets
    /// a long one in the end.
    pub(crate) async fn put(&self, name: &str, object: Bytes, failures: u32) -> Result<(), Error> {
        let longest = LIMIT + Duration::from_secs(object.len() as u64 / SLOWEST);
        let limit = longest.min(LIMIT * 2_u32.saturating_pow(failures.min(16)));
        let path = self.path(name);
        let put = self.objects.put(&path, object.into());
        let put = match self.folder {
            Some(_) => put.await,
            None => timeout(limit, put).await.map_err(|_| Error::Late(limit))?,
        };
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

    /// When an object was written, by the store's clock; `None` if there is none.
    pub(crate) async fn written(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        let path = self.path(name);
        let head = timeout(LIMIT, self.objects.head(&path)).await;
        match head.map_err(|_| Error::Late(LIMIT))? {
            Ok(meta) => Ok(Timestamp::from_second(meta.last_modified.timestamp()).ok()),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of the folders in a folder.
    pub(crate) async fn folders(&self, name: &str) -> Result<Vec<String>, Error> {
        list::folders(&*self.objects, &self.path(name)).await
    }

    /// Calls `each` with the name of each object in a folder, in no order and some of them twice. `cuts`
    /// are names that divide a long folder.
    pub(crate) async fn files(
        &self,
        name: &str,
        cuts: &[String],
        each: impl FnMut(&str) + Send,
    ) -> Result<(), Error> {
        match &self.folder {
            Some(folder) => names::names(folder.join(name), each).await,
            None => list::files(&*self.objects, &self.path(name), cuts, each).await,
        }
    }

    /// Whether there are objects in a folder.
    pub(crate) async fn has_files(&self, name: &str) -> Result<bool, Error> {
        let mut any = false;
        self.files(name, &[], |_| any = true).await?;
        Ok(any)
    }

    /// Calls `each` with the name of each object below a folder, after that of the folder that it is in.
    /// `after` is a name in the folder: what sorts before it is left out.
    pub(crate) async fn tree(
        &self,
        name: &str,
        after: Option<&str>,
        each: impl FnMut(&str, &str),
    ) -> Result<(), Error> {
        let path = self.path(name);
        let after = after.map(|after| path.clone().join(after));
        list::tree(&*self.objects, &path, after.as_ref(), each).await
    }

    fn path(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }
}

#[cfg(test)]
mod tests;
