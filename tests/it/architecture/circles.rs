//! Imports run one way: no file imports, directly or through others, a file that imports it, and the
//! same holds for whole modules. A child takes nothing from the file of a module around it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::package::{Meaning, Package};

/// Who imports whom, and the first place where it does.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// An item that a module takes from another one.
struct Arrow {
    from: usize,
    to: usize,
    /// File, line and item.
    place: String,
}

fn arrows(package: &Package) -> Vec<Arrow> {
    let arrow = |name: super::package::Name| {
        let Meaning::Item(to, _) = &name.meaning else {
            return None;
        };
        let file = &package.modules[name.module].file;
        Some(Arrow {
            from: name.module,
            to: *to,
            place: format!("{file}:{}: {}", name.line, package.show(&name.meaning)),
        })
    };
    package.names().into_iter().filter_map(arrow).collect()
}

/// Circles between a package's files.
pub(super) fn files(package: &Package) -> Vec<String> {
    let mut graph = Graph::new();
    for arrow in arrows(package) {
        let [from, to] = [arrow.from, arrow.to].map(|module| &package.modules[module].file);
        add(&mut graph, from, to, arrow.place);
    }
    circles(&graph)
}

/// Circles between modules that are siblings, each with all modules below it.
pub(super) fn modules(package: &Package) -> Vec<String> {
    let mut graphs: BTreeMap<usize, Graph> = BTreeMap::new();
    for arrow in arrows(package) {
        let way = |module| {
            let around: Vec<_> = package.around(module).collect();
            around.into_iter().rev()
        };
        // The two siblings are where the paths from the root separate.
        let mut last = None;
        for (from, to) in way(arrow.from).zip(way(arrow.to)) {
            if from != to {
                let [from, to] = [from, to].map(|module| &package.modules[module].path);
                if let Some(around) = last {
                    add(graphs.entry(around).or_default(), from, to, arrow.place);
                }
                break;
            }
            last = Some(from);
        }
    }
    graphs.values().flat_map(circles).collect()
}

/// Items that children take from the file of a module around them, one line a file. Items that this
/// file imports from below are not its own, so children may take them.
pub(super) fn taken_from_above(package: &Package) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for arrow in arrows(package) {
        let above = package.around(arrow.from).any(|module| module == arrow.to);
        let [from, to] = [arrow.from, arrow.to].map(|module| &package.modules[module].file);
        let item = arrow.place.rsplit(' ').next().unwrap_or_default();
        if above && from != to && told.insert((from, item.to_owned())) {
            found.push(format!("{}: taken from {to}, above it", arrow.place));
        }
    }
    found
}

fn add(graph: &mut Graph, from: &str, to: &str, place: String) {
    if from != to {
        let arrows = graph.entry(from.to_owned()).or_default();
        arrows.entry(to.to_owned()).or_insert(place);
    }
}

/// Groups of files that all import each other, each with its shortest circle.
fn circles(graph: &Graph) -> Vec<String> {
    let in_circle = |node: &&String| way(graph, node, node).is_some();
    let mut left: BTreeSet<_> = graph.keys().filter(in_circle).collect();
    let mut found = Vec::new();
    while let Some(first) = left.pop_first() {
        let back = |node: &&String| {
            *node == first || way(graph, first, node).is_some() && way(graph, node, first).is_some()
        };
        let group: Vec<_> = std::iter::once(first)
            .chain(left.iter().copied())
            .filter(back)
            .collect();
        left.retain(|node| !group.contains(node));
        let shortest = group.iter().filter_map(|node| way(graph, node, node));
        let shortest = shortest.min_by_key(Vec::len).unwrap_or_default();
        let names: Vec<_> = group.iter().map(|name| name.as_str()).collect();
        found.push(format!(
            "{} import each other: {}\n    {}",
            group.len(),
            names.join(", "),
            shortest.join("\n    ")
        ));
    }
    found
}

/// The shortest way along arrows, one at least: the place of each.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(node) = next.pop_front() {
        for (target, place) in graph.get(node).into_iter().flatten() {
            if !came.contains_key(target.as_str()) {
                came.insert(target, (node, place));
                next.push_back(target);
            }
        }
        if came.contains_key(to) {
            let mut places = Vec::new();
            let mut at = to;
            while let Some((before, place)) = came.get(at) {
                places.push((*place).to_owned());
                at = before;
                if at == from {
                    break;
                }
            }
            places.reverse();
            return Some(places);
        }
    }
    None
}
