//! A pod's volumes as folders of this machine, with the owners and modes that the kubelet gives them
//! (`pkg/volume`). Volumes of ConfigMaps and Secrets follow their objects; a new version replaces the
//! old one.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, HostPathVolumeSource, KeyToPath,
    ProjectedVolumeSource, SecretVolumeSource, Volume, VolumeProjection,
};
use serde_json::Value;

use super::pod_fields::PodFields;
use super::token::Tokens;
use crate::stand_ins::apiserver::ApiServer;

/// What a ConfigMap or Secret holds, by its keys.
type Data = BTreeMap<String, Vec<u8>>;

/// The volumes of one pod.
#[derive(Debug)]
pub(super) struct Volumes {
    folders: BTreeMap<String, PathBuf>,
    /// Volumes that follow objects.
    followed: Vec<Followed>,
    group: Option<u32>,
}

#[derive(Debug)]
struct Followed {
    folder: PathBuf,
    of: Vec<Of>,
    /// Files that never change, such as tokens.
    fixed: Data,
    mode: u32,
    written: Option<Data>,
}

/// Items of an object. Without any, all of it.
#[derive(Debug)]
struct Of {
    kind: &'static str,
    name: String,
    items: Option<Vec<KeyToPath>>,
    optional: bool,
}

impl Volumes {
    /// Makes folders below `dir`. Paths of the node are below `node`.
    pub(super) fn make(
        volumes: &[Volume],
        dir: &Path,
        node: &Path,
        group: Option<i64>,
        fields: &PodFields,
        tokens: &Tokens<'_>,
    ) -> Result<Self> {
        let mut this = Self {
            folders: BTreeMap::new(),
            followed: Vec::new(),
            group: group.map(u32::try_from).transpose()?,
        };
        for volume in volumes {
            let folder = dir.join(&volume.name);
            let folder = this
                .volume(volume, folder, node, fields, tokens)
                .with_context(|| format!("volume {}", volume.name))?;
            this.folders.insert(volume.name.clone(), folder);
        }
        Ok(this)
    }

    /// The folder of a volume.
    pub(super) fn folder(&self, name: &str) -> Result<&Path> {
        let folder = self.folders.get(name).map(PathBuf::as_path);
        folder.with_context(|| format!("there is no volume {name}"))
    }

    /// Brings what follows ConfigMaps and Secrets to what these hold now.
    pub(super) fn sync(&mut self, api: &ApiServer, namespace: &str) -> Result<()> {
        for followed in &mut self.followed {
            let mut data = followed.fixed.clone();
            for of in &followed.of {
                let Some(all) = of.data(api, namespace)? else {
                    if of.optional {
                        continue;
                    }
                    bail!("there is no {} {}", of.kind, of.name);
                };
                data.extend(of.items_of(all)?);
            }
            if followed.written.as_ref() != Some(&data) {
                write(&followed.folder, &data, followed.mode, self.group)?;
                followed.written = Some(data);
            }
        }
        Ok(())
    }

    fn volume(
        &mut self,
        volume: &Volume,
        folder: PathBuf,
        node: &Path,
        fields: &PodFields,
        tokens: &Tokens<'_>,
    ) -> Result<PathBuf> {
        if let Some(path) = &volume.host_path {
            return host_path(path, node);
        }
        std::fs::create_dir_all(&folder)?;
        if volume.empty_dir.is_some() {
            // Kubernetes gives everybody all rights there, and sets the group by the setgid bit.
            let mode = if self.group.is_some() { 0o2777 } else { 0o777 };
            chown(&folder, None, self.group)?;
            std::fs::set_permissions(&folder, Permissions::from_mode(mode))?;
            return Ok(folder);
        }
        let (of, fixed, mode) = if let Some(source) = &volume.config_map {
            (vec![config_map(source)], Data::new(), source.default_mode)
        } else if let Some(source) = &volume.secret {
            (vec![secret(source)?], Data::new(), source.default_mode)
        } else if let Some(source) = &volume.projected {
            let (of, fixed) = projected(source, fields, tokens)?;
            (of, fixed, source.default_mode)
        } else {
            bail!("its kind is not known here: {volume:?}");
        };
        self.followed.push(Followed {
            folder: folder.clone(),
            of,
            fixed,
            mode: u32::try_from(mode.unwrap_or(0o644))?,
            written: None,
        });
        Ok(folder)
    }
}

fn host_path(path: &HostPathVolumeSource, node: &Path) -> Result<PathBuf> {
    let on_node = node.join(path.path.trim_start_matches('/'));
    match path.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" => {
            std::fs::create_dir_all(&on_node)?;
            std::fs::set_permissions(&on_node, Permissions::from_mode(0o755))?;
        }
        "Directory" if on_node.is_dir() => {}
        "File" if on_node.is_file() => {}
        other => bail!("the node has no {} of type {other:?}", path.path),
    }
    Ok(on_node)
}

fn config_map(source: &ConfigMapVolumeSource) -> Of {
    Of {
        kind: "ConfigMap",
        name: source.name.clone(),
        items: source.items.clone(),
        optional: source.optional.unwrap_or_default(),
    }
}

fn secret(source: &SecretVolumeSource) -> Result<Of> {
    Ok(Of {
        kind: "Secret",
        name: source.secret_name.clone().context("it names no Secret")?,
        items: source.items.clone(),
        optional: source.optional.unwrap_or_default(),
    })
}

fn projected(
    source: &ProjectedVolumeSource,
    fields: &PodFields,
    tokens: &Tokens<'_>,
) -> Result<(Vec<Of>, Data)> {
    let (mut of, mut fixed) = (Vec::new(), Data::new());
    for projection in source.sources.iter().flatten() {
        match projection {
            VolumeProjection {
                service_account_token: Some(token),
                ..
            } => {
                let bearer = tokens.issue(token.audience.as_deref());
                fixed.insert(token.path.clone(), bearer.into_bytes());
            }
            VolumeProjection {
                config_map: Some(map),
                ..
            } => of.push(map.into()),
            VolumeProjection {
                downward_api: Some(downward),
                ..
            } => {
                for item in downward.items.iter().flatten() {
                    let field = item.field_ref.as_ref().context("no field")?;
                    let value = fields.field(&field.field_path)?;
                    fixed.insert(item.path.clone(), value.as_bytes().to_vec());
                }
            }
            VolumeProjection {
                secret: Some(secret),
                ..
            } => of.push(Of {
                kind: "Secret",
                name: secret.name.clone(),
                items: secret.items.clone(),
                optional: secret.optional.unwrap_or_default(),
            }),
            other => bail!("this projection is not known here: {other:?}"),
        }
    }
    Ok((of, fixed))
}

impl From<&ConfigMapProjection> for Of {
    fn from(map: &ConfigMapProjection) -> Self {
        Self {
            kind: "ConfigMap",
            name: map.name.clone(),
            items: map.items.clone(),
            optional: map.optional.unwrap_or_default(),
        }
    }
}

impl Of {
    fn data(&self, api: &ApiServer, namespace: &str) -> Result<Option<Data>> {
        let resource = format!("{}s", self.kind.to_lowercase());
        let Some(object) = api.object(&resource, namespace, &self.name) else {
            return Ok(None);
        };
        let data = object.get("data").and_then(Value::as_object);
        let entries = data.into_iter().flatten().map(|(key, value)| {
            let text = value.as_str().context("a value is no text")?;
            let bytes = match self.kind {
                "Secret" => STANDARD.decode(text)?,
                _ => text.as_bytes().to_vec(),
            };
            Ok((key.clone(), bytes))
        });
        Ok(Some(entries.collect::<Result<_>>()?))
    }

    fn items_of(&self, mut all: Data) -> Result<Data> {
        let Some(items) = &self.items else {
            return Ok(all);
        };
        let mut data = Data::new();
        for item in items {
            match all.remove(&item.key) {
                Some(bytes) => drop(data.insert(item.path.clone(), bytes)),
                None if self.optional => {}
                None => bail!("{} {} has no key {}", self.kind, self.name, item.key),
            }
        }
        Ok(data)
    }
}

/// As the kubelet's AtomicWriter: a new folder, which `..data` points to at once.
fn write(folder: &Path, data: &Data, mode: u32, group: Option<u32>) -> Result<()> {
    let version = tempfile::Builder::new()
        .prefix("..version-")
        .tempdir_in(folder)?
        .keep();
    std::fs::set_permissions(&version, Permissions::from_mode(0o755))?;
    // With a group, the volume belongs to it, and the group may read (`pkg/volume/volume_linux.go`).
    let mode = if group.is_some() { mode | 0o440 } else { mode };
    for (name, bytes) in data {
        let file = version.join(name);
        std::fs::write(&file, bytes)?;
        chown(&file, None, group)?;
        std::fs::set_permissions(&file, Permissions::from_mode(mode))?;
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link)?;
        }
    }
    let draft = folder.join("..data_tmp");
    let name = version.file_name().context("a folder has a name")?;
    symlink(name, &draft)?;
    std::fs::rename(draft, folder.join("..data"))?;
    Ok(())
}
