//! Pure: what a list shows, as a URL's query has it. Anything may stand there, so what makes no sense is
//! left out.

use jiff::civil::Date;

/// The longest text that is looked for.
const TEXT: usize = 256;
/// Pages that can be turned to.
const PAGES: usize = 10_000;

/// Which recordings, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) from: Option<Date>,
    pub(crate) to: Option<Date>,
    pub(crate) user: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
    /// A part of the command.
    pub(crate) command: Option<String>,
    pub(crate) sort: Sort,
    /// From 1.
    pub(crate) page: usize,
}

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Newest,
    Oldest,
    Namespace,
    Pod,
}

impl Sort {
    pub(crate) const ALL: [Self; 4] = [Self::Newest, Self::Oldest, Self::Namespace, Self::Pod];

    /// Its word in a query.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
        }
    }
}

impl Filter {
    /// Reads a query.
    pub(crate) fn read(query: &str) -> Self {
        let mut filter = Self {
            from: None,
            to: None,
            user: None,
            namespace: None,
            pod: None,
            command: None,
            sort: Sort::Newest,
            page: 1,
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let text = value.trim();
            let text = (!text.is_empty() && text.len() <= TEXT).then(|| text.to_owned());
            match &*key {
                "from" => filter.from = value.parse().ok(),
                "to" => filter.to = value.parse().ok(),
                "user" => filter.user = text,
                "namespace" => filter.namespace = text,
                "pod" => filter.pod = text,
                "command" => filter.command = text,
                "sort" => {
                    let found = Sort::ALL.into_iter().find(|sort| sort.word() == value);
                    filter.sort = found.unwrap_or(Sort::Newest);
                }
                "page" => {
                    let page = value.parse().ok();
                    filter.page = page.filter(|page| (1..=PAGES).contains(page)).unwrap_or(1);
                }
                _ => {}
            }
        }
        filter
    }

    /// The query of another page of the same list.
    pub(crate) fn query(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let dates = [("from", self.from), ("to", self.to)];
        for (key, date) in dates {
            if let Some(date) = date {
                query.append_pair(key, &date.to_string());
            }
        }
        for (key, text) in [
            ("user", &self.user),
            ("namespace", &self.namespace),
            ("pod", &self.pod),
            ("command", &self.command),
        ] {
            if let Some(text) = text {
                query.append_pair(key, text);
            }
        }
        query.append_pair("sort", self.sort.word());
        query.append_pair("page", &page.to_string());
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_written() {
        let query = "from=2026-11-01&to=2026-11-26&user=ada%40example.com&namespace=prod\
                     &pod=web-0&command=rm+-rf+%3Cb%3E&sort=pod&page=3";
        let filter = Filter::read(query);
        assert_eq!(filter.user.as_deref(), Some("ada@example.com"));
        assert_eq!(filter.command.as_deref(), Some("rm -rf <b>"));
        assert_eq!((filter.sort, filter.page), (Sort::Pod, 3));
        assert_eq!(Filter::read(&filter.query(3)), filter);
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let plain = Filter::read("");
        let long = format!("user={}", "x".repeat(TEXT + 1));
        for query in [
            "from=yesterday&to=2026-13-01",
            "page=0",
            "page=-1",
            "page=99999999999999999999",
            "sort=random",
            "user=+++",
            "&&==&%",
            &long,
        ] {
            assert_eq!(Filter::read(query), plain, "{query}");
        }
    }
}
