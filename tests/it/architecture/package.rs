//! A package's modules, from the roots of its crates down, and what the names in them mean.

use std::collections::BTreeMap;

use super::manifest::{Manifest, members};
use super::scan::{Path, Scan, scan};
use super::source::Files;

#[derive(Debug)]
pub(super) struct Module {
    pub(super) file: String,
    /// From its crate's root, with `crate` for that.
    pub(super) path: String,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    scan: Scan,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) manifest: Manifest,
    pub(super) modules: Vec<Module>,
    /// `mod x;` without a file of that name beside it: file and name.
    pub(super) missing: Vec<(String, String)>,
    library: Option<usize>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Module(usize),
    /// An item, by the module that defines it.
    Item(usize, String),
    /// An item of another package, by the module that re-exports it.
    Handed(usize, String),
    /// A name of another crate, or one that no `use` explains, such as `Self` or a prelude's.
    Outside(String),
}

/// A name in a module.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) module: usize,
    pub(super) line: usize,
    pub(super) meaning: Meaning,
}

/// Deeper than any chain of imports: an import this deep is circular.
const DEEP: usize = 20;

pub(super) fn packages(files: &Files) -> Vec<Package> {
    let read = |manifest| Package::read(manifest, files);
    members(files).into_iter().map(read).collect()
}

impl Package {
    fn read(manifest: Manifest, files: &Files) -> Package {
        let mut package = Package {
            modules: Vec::new(),
            missing: Vec::new(),
            library: None,
            manifest,
        };
        for root in package.manifest.roots.clone() {
            let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
            let text = files.get(&root);
            let text = text.unwrap_or_else(|| panic!("{root} is no file"));
            let at = package.add("crate", None, &root, folder, scan(text), files);
            if root == format!("{}/src/lib.rs", package.manifest.folder) {
                package.library = Some(at);
            }
        }
        package
    }

    /// Adds a module, and those below it, whose files stand in `folder`.
    fn add(
        &mut self,
        path: &str,
        parent: Option<usize>,
        file: &str,
        folder: &str,
        mut scan: Scan,
        files: &Files,
    ) -> usize {
        let at = self.modules.len();
        let inline = std::mem::take(&mut scan.inline);
        let below = std::mem::take(&mut scan.files);
        self.modules.push(Module {
            file: file.to_owned(),
            path: path.to_owned(),
            parent,
            children: BTreeMap::new(),
            scan,
        });
        let mut children = BTreeMap::new();
        for (name, inner) in inline {
            let (path, folder) = (format!("{path}::{name}"), format!("{folder}/{name}"));
            let child = self.add(&path, Some(at), file, &folder, inner, files);
            children.insert(name, child);
        }
        for name in below {
            let (path, folder) = (format!("{path}::{name}"), format!("{folder}/{name}"));
            let places = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
            let found = places.iter().find_map(|place| files.get_key_value(place));
            if let Some((file, text)) = found {
                let child = self.add(&path, Some(at), file, &folder, self::scan(text), files);
                children.insert(name, child);
            } else {
                self.missing.push((file.to_owned(), name));
            }
        }
        self.modules[at].children = children;
        at
    }

    /// All names in its files, in order.
    pub(super) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        for (module, Module { scan, .. }) in self.modules.iter().enumerate() {
            for (line, path) in &scan.names {
                for meaning in self.meanings(module, path, 0) {
                    names.push(Name {
                        module,
                        line: *line,
                        meaning,
                    });
                }
            }
        }
        names
    }

    /// The file that defines the item that another package calls this, if it is in this package.
    pub(super) fn defines(&self, path: &str) -> Option<&str> {
        let mut path = path.split("::").map(str::to_owned);
        if path.next()? != self.manifest.library {
            return None;
        }
        let path: Path = path.collect();
        match self.below(self.library?, &path, 0).first()? {
            Meaning::Item(module, _) | Meaning::Module(module) => Some(&self.modules[*module].file),
            Meaning::Handed(..) | Meaning::Outside(_) => None,
        }
    }

    /// A name as messages show it.
    pub(super) fn show(&self, meaning: &Meaning) -> String {
        match meaning {
            Meaning::Module(module) => self.modules[*module].path.clone(),
            Meaning::Item(module, item) | Meaning::Handed(module, item) => {
                format!("{}::{item}", self.modules[*module].path)
            }
            Meaning::Outside(path) => path.clone(),
        }
    }

    /// The module itself and those around it, from inside out.
    pub(super) fn around(&self, module: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(module), |&module| self.modules[module].parent)
    }

    /// What a path means in a module. There are several where a function and a module share a
    /// name.
    fn meanings(&self, module: usize, path: &[String], depth: usize) -> Vec<Meaning> {
        let here = &self.modules[module];
        let (first, rest) = match path {
            [first, rest @ ..] if depth < DEEP => (first, rest),
            _ => return Vec::new(),
        };
        let root = self.around(module).last().unwrap_or(module);
        match &**first {
            "crate" => self.below(root, rest, depth),
            "self" => self.below(module, rest, depth),
            "super" => {
                let ups = path.iter().take_while(|&word| word == "super").count();
                let above = self.around(module).nth(ups).unwrap_or(root);
                self.below(above, &path[ups..], depth)
            }
            // A macro by its name alone is seen in all modules below the one that defines it.
            name if name.ends_with('!') => {
                let mut around = self.around(module);
                let by = around.find(|&module| self.modules[module].scan.defined.contains(name));
                by.map(|by| Meaning::Item(by, name.to_owned()))
                    .into_iter()
                    .collect()
            }
            _ if here.children.contains_key(first) => self.below(module, path, depth),
            _ if here.scan.bound.contains_key(first) => self.bound(module, path, depth),
            name if Some(name) == self.library_name() => match self.library {
                Some(library) => self.below(library, rest, depth),
                None => Vec::new(),
            },
            name if here.scan.defined.contains(name) => self.below(module, path, depth),
            _ => match self.opened(module, first, depth) {
                Some(by) => self.below(by, path, depth),
                None => vec![Meaning::Outside(path.join("::"))],
            },
        }
    }

    /// A path whose first word a `use` of this module binds.
    fn bound(&self, module: usize, path: &[String], depth: usize) -> Vec<Meaning> {
        let Module { scan, children, .. } = &self.modules[module];
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for to in scan.bound.get(first).into_iter().flatten() {
            let whole: Path = to.iter().chain(rest).cloned().collect();
            // `use bytes;` and `use bytes::bytes;` name a crate, if there is no such module.
            if to.first() == Some(first) && !children.contains_key(first) {
                found.push(Meaning::Outside(whole.join("::")));
            } else {
                found.extend(self.meanings(module, &whole, depth + 1));
            }
        }
        found
    }

    /// What a path means from this module down.
    fn below(&self, mut module: usize, path: &[String], depth: usize) -> Vec<Meaning> {
        for (at, word) in path.iter().enumerate() {
            let Module { scan, children, .. } = &self.modules[module];
            let is_bound = scan.bound.contains_key(word);
            let is_last = at + 1 == path.len();
            if let Some(&child) = children.get(word).filter(|_| !is_last || !is_bound) {
                module = child;
                continue;
            }
            if is_bound {
                let mut found = self.bound(module, &path[at..], depth);
                for meaning in &mut found {
                    if matches!(meaning, Meaning::Outside(_)) {
                        *meaning = Meaning::Handed(module, word.clone());
                    }
                }
                return found;
            }
            return match self.opened(module, word, depth) {
                Some(by) if !scan.defined.contains(word) => self.below(by, &path[at..], depth + 1),
                _ => vec![Meaning::Item(module, word.clone())],
            };
        }
        vec![Meaning::Module(module)]
    }

    /// The module that gives this name to another one by `use x::*`.
    fn opened(&self, module: usize, name: &str, depth: usize) -> Option<usize> {
        let globs = &self.modules[module].scan.globs;
        let opened = globs
            .iter()
            .flat_map(|path| self.meanings(module, path, depth + 1));
        let gives = |meaning| match meaning {
            Meaning::Module(by) if by != module => {
                let Module { scan, children, .. } = &self.modules[by];
                let gives = scan.defined.contains(name)
                    || scan.bound.contains_key(name)
                    || children.contains_key(name);
                gives.then_some(by)
            }
            _ => None,
        };
        opened.into_iter().find_map(gives)
    }

    fn library_name(&self) -> Option<&str> {
        self.library.map(|_| &*self.manifest.library)
    }
}
