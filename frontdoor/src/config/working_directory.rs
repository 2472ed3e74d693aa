//! Where shells and commands start.

use podgate_proto::v1::WorkingDirectory;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Folder {
    #[default]
    Home,
    Image,
}

impl From<Folder> for WorkingDirectory {
    fn from(folder: Folder) -> Self {
        match folder {
            Folder::Home => Self::Home,
            Folder::Image => Self::Image,
        }
    }
}
