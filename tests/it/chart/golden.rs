//! The default render, one file per template, so that a change of the chart can be read by its effect.
//! After an intended change: `PODGATE_RENEW=1 cargo nextest run -p podgate-tests -E
//! 'test(/^chart::/)'`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Compares all texts with `golden`, or renews it.
pub(super) fn compare(root: &Path, texts: &BTreeMap<String, String>) {
    let folder = root.join("tests/it/chart/golden");
    let texts = texts.iter().filter(|(_, text)| !text.trim().is_empty());
    let texts: BTreeMap<String, String> = texts
        .map(|(file, text)| (file.replace('/', "-"), format!("{}\n", text.trim())))
        .collect();
    if std::env::var_os("PODGATE_RENEW").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in &texts {
            fs::write(folder.join(file), text).unwrap();
        }
        return;
    }
    let held: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    let names = |texts: &BTreeMap<String, String>| texts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&texts), names(&held));
    for (file, text) in &texts {
        let mut pairs = text.lines().zip(held[file].lines());
        let differ = pairs.find(|(now, golden)| now != golden);
        assert_eq!(differ, None, "{file}: now, golden");
        assert_eq!(text.lines().count(), held[file].lines().count(), "{file}");
    }
}
