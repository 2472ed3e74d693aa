//! What a file names of other crates and modules: its `use` trees, and the paths in its code. Names
//! that come out of a macro are not seen.

use super::code;
use super::source::Source;

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    /// From the root of its crate, which is `crate` where it is the file's own.
    pub(super) path: String,
}

impl Import {
    /// Whether it is this item, or one below it.
    pub(super) fn is_of(&self, item: &str) -> bool {
        let rest = self.path.strip_prefix(item);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// Its first segment.
    pub(super) fn root(&self) -> &str {
        self.path.split("::").next().unwrap_or_default()
    }
}

/// All paths of a file that are not for tests alone, in order.
pub(super) fn imports(source: &Source) -> Vec<Import> {
    let code = code::without_tests(code::blank(&source.text));
    let tokens = code::tokens(&code);
    let children: Vec<_> = tokens
        .windows(2)
        .filter(|pair| pair[0].1 == "mod")
        .map(|pair| pair[1].1)
        .collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&(line, token)) = tokens.get(at) {
        let mut paths = Vec::new();
        match token {
            "use" => at = tree(&tokens, at + 1, &[], &mut paths),
            "extern" if tokens.get(at + 1).is_some_and(|next| next.1 == "crate") => {
                paths.push(vec![tokens[at + 2].1]);
                at += 3;
            }
            _ if code::is_word(token) => {
                let mut path = vec![token];
                at += 1;
                while let [(_, "::"), (_, next), ..] = tokens[at..]
                    && code::is_word(next)
                {
                    path.push(next);
                    at += 2;
                }
                // A name alone is bound by a `use`, or the file's own.
                paths.extend((path.len() > 1).then_some(path));
            }
            _ => at += 1,
        }
        let full = |path: Vec<_>| Import {
            line,
            path: full(&path, source, &children),
        };
        found.extend(paths.into_iter().map(full));
    }
    found
}

/// Reads one branch of a `use` tree, and says where it ends.
fn tree<'a>(
    tokens: &[(usize, &'a str)],
    mut at: usize,
    above: &[&'a str],
    paths: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = above.to_vec();
    while let Some(&(_, token)) = tokens.get(at) {
        match token {
            "::" => {}
            "{" => {
                at += 1;
                while !matches!(tokens.get(at), None | Some((_, "}"))) {
                    at = tree(tokens, at, &path, paths);
                    at += usize::from(matches!(tokens.get(at), Some((_, ","))));
                }
                return at + 1;
            }
            "as" => at += 1,
            "self" if !path.is_empty() => {}
            _ if code::is_word(token) || token == "*" => path.push(token),
            _ => break,
        }
        at += 1;
    }
    // `use<'a>` bounds what a type captures, and names nothing.
    paths.extend((!path.is_empty()).then_some(path));
    at
}

/// A path from the root of its crate.
fn full(path: &[&str], source: &Source, children: &[&str]) -> String {
    let (module, program) = source.module();
    let (folder, _) = source.path.split_once("/src/").unwrap_or_default();
    let own = folder.rsplit('/').next().unwrap_or_default();
    let own = format!("podgate_{own}");
    let mut base = vec!["crate"];
    let rest = match path {
        ["crate", rest @ ..] => rest,
        [first, rest @ ..] if program && *first == own => rest,
        ["self" | "super", ..] => {
            let ups = path.iter().take_while(|&&word| word == "super").count();
            base.extend(&module[..module.len().saturating_sub(ups)]);
            let first = path
                .iter()
                .position(|word| !matches!(*word, "self" | "super"));
            first.map_or(&[][..], |first| &path[first..])
        }
        [first, ..] if children.contains(first) => {
            base.extend(module);
            path
        }
        _ => return path.join("::"),
    };
    base.extend(rest);
    base.join("::")
}
