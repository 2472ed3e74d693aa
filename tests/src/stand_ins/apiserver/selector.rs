//! Which pods a list or a watch selects, by label and field selectors (apimachinery, `pkg/labels` and
//! `pkg/fields`).

use crate::stand_ins::cluster::object::Object;

/// All requirements hold for the pods it selects; it selects every pod if there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    namespace: String,
    labels: Vec<(String, Label)>,
    fields: Vec<(Field, Is, String)>,
}

#[derive(Clone, Debug)]
enum Label {
    In(Vec<String>),
    /// True also if there is no such label.
    NotIn(Vec<String>),
    Exists,
    Absent,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Namespace,
    Name,
    Node,
    Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Equal,
    Other,
}

/// Why a text is not a selector.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("unable to parse requirement: {0}")]
    Label(String),
    #[error("invalid selector: '{0}'; can't understand '{0}'")]
    Field(String),
    #[error("field label not supported: {0}")]
    Unsupported(String),
}

impl Selector {
    /// Of a namespace, or of all if it is empty.
    pub(super) fn parse(namespace: &str, labels: &str, fields: &str) -> Result<Self, Error> {
        let parsed = terms(fields).map(|term| {
            let (field, is, value) = field(term).ok_or_else(|| Error::Field(term.to_owned()))?;
            let field = match field {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                "spec.nodeName" => Field::Node,
                "status.phase" => Field::Phase,
                _ => return Err(Error::Unsupported(field.to_owned())),
            };
            Ok((field, is, value.to_owned()))
        });
        let fields = parsed.collect::<Result<_, _>>()?;
        let labels = terms(labels)
            .map(|term| label(term).ok_or_else(|| Error::Label(term.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            namespace: namespace.to_owned(),
            labels,
            fields,
        })
    }

    /// Whether the namespace alone selects.
    pub(super) fn is_plain(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that a pod must have. Authorization takes it for the request's.
    pub(super) fn name(&self) -> Option<&str> {
        self.fields.iter().find_map(|field| match field {
            (Field::Name, Is::Equal, name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The start of the keys of all that it can select.
    pub(super) fn prefix(&self) -> String {
        match self.namespace.as_str() {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        }
    }

    pub(super) fn selects(&self, object: &Object) -> bool {
        let in_namespace = self.namespace.is_empty() || self.namespace == object.namespace();
        let fields = self.fields.iter().all(|(field, is, value)| {
            let here = match field {
                Field::Namespace => object.namespace(),
                Field::Name => object.name(),
                Field::Node => object.node.as_deref().unwrap_or_default(),
                Field::Phase => object.phase.as_deref().unwrap_or_default(),
            };
            (here == value) == (*is == Is::Equal)
        });
        let labels = self.labels.iter().all(|(key, label)| {
            let here = object.label(key);
            let among = |values: &[String], here: &str| values.iter().any(|value| value == here);
            match label {
                Label::In(values) => here.is_some_and(|here| among(values, here)),
                Label::NotIn(values) => here.is_none_or(|here| !among(values, here)),
                Label::Exists => here.is_some(),
                Label::Absent => here.is_none(),
            }
        });
        in_namespace && fields && labels
    }
}

/// The parts between commas, but for those in parentheses.
fn terms(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let comma = move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    let terms = selector.split(comma).map(str::trim);
    terms.filter(|term| !term.is_empty())
}

fn field(term: &str) -> Option<(&str, Is, &str)> {
    let (field, is, value) = if let Some((field, value)) = term.split_once("!=") {
        (field, Is::Other, value)
    } else if let Some((field, value)) = term.split_once("==") {
        (field, Is::Equal, value)
    } else {
        let (field, value) = term.split_once('=')?;
        (field, Is::Equal, value)
    };
    Some((field.trim(), is, value.trim()))
}

fn label(term: &str) -> Option<(String, Label)> {
    if let Some((key, is, value)) = field(term) {
        let values = vec![value.to_owned()];
        let label = match is {
            Is::Equal => Label::In(values),
            Is::Other => Label::NotIn(values),
        };
        return Some((key.to_owned(), label));
    }
    if let Some((head, values)) = term.split_once('(') {
        let values = values.trim_end().strip_suffix(')')?.split(',');
        let values = values.map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim_end().rsplit_once(' ')?;
        let label = match operator {
            "in" => Label::In(values),
            "notin" => Label::NotIn(values),
            _ => return None,
        };
        return Some((key.trim().to_owned(), label));
    }
    let (key, label) = match term.strip_prefix('!') {
        Some(key) => (key.trim(), Label::Absent),
        None => (term, Label::Exists),
    };
    (!key.contains(' ')).then(|| (key.to_owned(), label))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Selector;
    use crate::stand_ins::cluster::object::{Change, Object};
    use crate::stand_ins::cluster::pod;

    #[test]
    fn selectors_say_which_pods() {
        let web = pod("prod", "web-0", "u1", "node-a", "10.0.0.1").label("app", "web");
        let node = Some(Arc::from("node-a"));
        let web = Object::new(web.build(), "prod/web-0".into(), node, 1, Change::Added);
        let check = |namespace, labels, fields, expect| {
            let selector = Selector::parse(namespace, labels, fields).unwrap();
            assert_eq!(
                selector.selects(&web),
                expect,
                "{namespace} {labels} {fields}"
            );
        };
        check("", "", "", true);
        check("prod", "app=web", "spec.nodeName=node-a", true);
        check("default", "", "", false);
        check(
            "",
            "app==web,!tier",
            "metadata.name=web-0,metadata.namespace=prod",
            true,
        );
        check("", "app in (api, web),app", "", true);
        check("", "app notin (web)", "", false);
        check("", "tier notin (a,b),tier!=c", "", true);
        check("", "tier", "", false);
        check("", "", "status.phase!=Running", false);
        check("", "", "spec.nodeName=", false);
        check("", "", "spec.nodeName!=node-b", true);
        for (labels, fields) in [
            ("a b", ""),
            ("a of (b)", ""),
            ("", "spec.host=x"),
            ("", "x"),
        ] {
            assert!(Selector::parse("", labels, fields).is_err());
        }
    }
}
