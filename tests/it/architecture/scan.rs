//! What one file says: the modules in it, and for each the names that it defines, imports and
//! uses. Names that come out of a macro are not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::code;

pub(super) type Path = Vec<String>;

/// What a module itself contains. An inline module is a module of its own.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Paths of two words and more, and all that `use` lists: line and path. `x!` is a macro.
    pub(super) names: Vec<(usize, Path)>,
    /// What `use` makes of a name, its last word or the one after `as`.
    pub(super) bound: BTreeMap<String, Vec<Path>>,
    /// What `use x::*` opens.
    pub(super) globs: Vec<Path>,
    pub(super) defined: BTreeSet<String>,
    /// `mod x;`
    pub(super) files: Vec<String>,
    /// `mod x { }`
    pub(super) inline: Vec<(String, Scan)>,
}

type Tokens<'a> = &'a [(usize, &'a str)];

/// Reads a file. What is for tests alone is left out.
pub(super) fn scan(text: &str) -> Scan {
    let code = code::without_tests(code::blank(text));
    Scan::of(&code::tokens(&code))
}

impl Scan {
    fn of(mut rest: Tokens) -> Scan {
        let mut scan = Scan::default();
        let mut before = "";
        while let [(line, token), after @ ..] = rest {
            let taken = match (*token, after) {
                ("mod", [(_, name), (_, ";"), ..]) => {
                    scan.files.push((*name).to_owned());
                    3
                }
                ("mod", [(_, name), (_, "{"), inner @ ..]) => {
                    let length = block(inner);
                    let inline = Scan::of(&inner[..length]);
                    scan.inline.push(((*name).to_owned(), inline));
                    3 + length
                }
                ("use", [(_, next), ..]) if *next != "<" => 1 + scan.add_use(after),
                ("extern", [(_, "crate"), (line, name), ..]) => {
                    scan.names.push((*line, vec![(*name).to_owned()]));
                    3
                }
                ("macro_rules", [(_, "!"), (_, name), ..]) => {
                    scan.defined.insert(format!("{name}!"));
                    3
                }
                (name, [(_, "!"), (_, open), ..]) if ["(", "[", "{"].contains(open) => {
                    scan.names.push((*line, vec![format!("{name}!")]));
                    1
                }
                (keyword, [(_, name), ..]) if defines(before, keyword) => {
                    scan.defined.insert((*name).to_owned());
                    1
                }
                _ if code::is_word(token) => scan.add_path(rest),
                _ => 1,
            };
            before = token;
            rest = &rest[taken.min(rest.len())..];
        }
        scan
    }

    /// A path in the code. A word alone is bound by a `use`, or the module's own.
    fn add_path(&mut self, tokens: Tokens) -> usize {
        let mut path = vec![tokens[0].1.to_owned()];
        let mut taken = 1;
        while let [(_, "::"), (_, next), ..] = tokens[taken..]
            && code::is_word(next)
        {
            path.push(next.to_owned());
            taken += 2;
        }
        if path.len() > 1 {
            self.names.push((tokens[0].0, path));
        }
        taken
    }

    fn add_use(&mut self, tokens: Tokens) -> usize {
        let mut leaves = Vec::new();
        let taken = tree(tokens, 0, &[], &mut leaves);
        for (line, mut path, name) in leaves {
            self.names.push((line, path.clone()));
            if path.last().is_some_and(|last| last == "*") {
                path.pop();
                self.globs.push(path);
            } else {
                self.bound.entry(name).or_default().push(path);
            }
        }
        taken
    }
}

/// Reads one branch of a `use` tree into its leaves, and says where it ends.
fn tree(
    tokens: Tokens,
    mut at: usize,
    above: &[String],
    leaves: &mut Vec<(usize, Path, String)>,
) -> usize {
    let mut path = above.to_vec();
    let mut line = 0;
    let mut renamed = None;
    while let Some(&(here, token)) = tokens.get(at) {
        match token {
            "::" => {}
            "{" => {
                at += 1;
                while !matches!(tokens.get(at), None | Some((_, "}"))) {
                    // A word that fits nowhere is passed over.
                    at = tree(tokens, at, &path, leaves).max(at + 1);
                    at += usize::from(matches!(tokens.get(at), Some((_, ","))));
                }
                return at + 1;
            }
            "as" => {
                at += 1;
                renamed = tokens.get(at).map(|(_, name)| (*name).to_owned());
            }
            "self" if !path.is_empty() => line = here,
            _ if code::is_word(token) || token == "*" => {
                line = here;
                path.push(token.to_owned());
            }
            _ => break,
        }
        at += 1;
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((line, path, renamed.unwrap_or(last)));
    }
    at
}

/// How far it is to the brace that closes a block, from inside.
fn block(tokens: Tokens) -> usize {
    let mut depth = 1;
    let end = tokens.iter().position(|(_, token)| {
        depth += match *token {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        depth == 0
    });
    end.unwrap_or(tokens.len())
}

/// Whether this word begins an item, and not a lifetime or a pointer.
fn defines(before: &str, word: &str) -> bool {
    const ITEMS: &[&str] = &[
        "const", "enum", "fn", "static", "struct", "trait", "type", "union",
    ];
    ITEMS.contains(&word) && !["'", "*"].contains(&before)
}
