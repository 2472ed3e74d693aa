//! Lists of objects. A cloud's store lists a page of a thousand after another, so a folder with more of
//! them is listed in several parts at the same time.

use std::sync::{Mutex, PoisonError};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use tokio::time::timeout;

use super::error::{Error, LIMIT};

/// Folders of a folder that are looked at.
const FOLDERS: usize = 10_000;
/// Objects that a store lists with one answer.
const PAGE: usize = 1000;
/// Parts of a folder that are listed at the same time.
const AT_ONCE: usize = 8;

type Objects<'a> = BoxStream<'a, object_store::Result<ObjectMeta>>;

/// The names of the folders in a folder.
pub(super) async fn folders(objects: &dyn ObjectStore, path: &Path) -> Result<Vec<String>, Error> {
    let list = objects.list_with_delimiter(Some(path));
    let list = timeout(LIMIT, list)
        .await
        .map_err(|_| Error::Late(LIMIT))??;
    let names = list.common_prefixes.iter().take(FOLDERS);
    Ok(names
        .filter_map(|path| Some(path.filename()?.to_owned()))
        .collect())
}

/// Calls `each` with the name of each object below a folder, after that of the folder that it is in.
/// `after` leaves out what sorts before it, but may itself be there.
pub(super) async fn tree(
    objects: &dyn ObjectStore,
    path: &Path,
    after: Option<&Path>,
    mut each: impl FnMut(&str, &str),
) -> Result<(), Error> {
    let mut list = match after {
        Some(after) => objects.list_with_offset(Some(path), after),
        None => objects.list(Some(path)),
    };
    while let Some(object) = next(&mut list).await? {
        let mut parts = object.as_ref().rsplit('/');
        if let (Some(file), Some(folder)) = (parts.next(), parts.next()) {
            each(folder, file);
        }
    }
    Ok(())
}

/// Calls `each` with the name of each object in a folder, in no order and some of them twice. `cuts` are
/// names that divide a long folder.
pub(super) async fn files(
    objects: &dyn ObjectStore,
    path: &Path,
    cuts: &[String],
    mut each: impl FnMut(&str) + Send,
) -> Result<(), Error> {
    let mut list = objects.list(Some(path));
    let (mut count, mut last, mut sorted) = (0, String::new(), true);
    // What is not sorted cannot be divided.
    while count < PAGE || !sorted || cuts.is_empty() {
        let Some(object) = next(&mut list).await? else {
            return Ok(());
        };
        let Some(name) = object.filename() else {
            continue;
        };
        each(name);
        count += 1;
        sorted &= name > last.as_str();
        last.replace_range(.., name);
    }
    drop(list);
    let later = cuts.iter().map(String::as_str);
    let later: Vec<_> = later.filter(|cut| *cut > last.as_str()).collect();
    let from = std::iter::once(last.as_str()).chain(later.iter().copied());
    let to = later.iter().copied().map(Some).chain([None]);
    let each = Mutex::new(each);
    let each = |name: &str| {
        // Nothing that holds it can panic halfway.
        let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
        (*each)(name);
    };
    let parts = from.zip(to);
    let parts: Vec<_> = parts
        .map(|range| part(objects, path, range, &each))
        .collect();
    let parts = stream::iter(parts).buffer_unordered(AT_ONCE);
    parts.try_collect().await
}

/// The objects of a folder from one name to before another.
async fn part(
    objects: &dyn ObjectStore,
    path: &Path,
    (from, to): (&str, Option<&str>),
    each: &(impl Fn(&str) + Sync),
) -> Result<(), Error> {
    let after = path.clone().join(from);
    let mut list = objects.list_with_offset(Some(path), &after);
    while let Some(object) = next(&mut list).await? {
        let Some(name) = object.filename() else {
            continue;
        };
        if to.is_some_and(|to| name >= to) {
            break;
        }
        each(name);
    }
    Ok(())
}

async fn next(list: &mut Objects<'_>) -> Result<Option<Path>, Error> {
    let next = timeout(LIMIT, list.next()).await;
    let next = next.map_err(|_| Error::Late(LIMIT))?;
    Ok(next.transpose()?.map(|object| object.location))
}
