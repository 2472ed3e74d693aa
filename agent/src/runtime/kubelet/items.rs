//! Cuts a list of Kubernetes' API into its items while it is read, so that no more than one item is in
//! memory: tenants decide how large their pods are.

/// Bytes of one item. etcd holds 1.5 MiB of an object by default.
const MAX_ITEM: usize = 4 * 1024 * 1024;
/// The list's field that has the items.
const ITEMS: &[u8] = b"items";

/// Why a list cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is not a whole list")]
    NotAList,
    #[error("an item is larger than {MAX_ITEM} bytes")]
    TooLarge,
}

/// What was read of a list so far.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Objects and arrays that are open. An item is at depth 3, in the array of `items`.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string outside of all items, up to one byte more than the name of a field may have.
    name: Vec<u8>,
    /// Whether the open array is that of the items.
    in_items: bool,
    /// The open item.
    item: Vec<u8>,
    over: bool,
}

impl Items {
    /// Takes the next bytes, and gives each item that is whole.
    pub(super) fn feed<E: From<Error>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in bytes {
            if self.next(byte)? {
                take(&self.item)?;
                self.item.clear();
            }
        }
        Ok(())
    }

    /// Checks that the list is whole.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.over {
            Ok(())
        } else {
            Err(Error::NotAList)
        }
    }

    /// Takes one byte; true if it is the last of an item.
    fn next(&mut self, byte: u8) -> Result<bool, Error> {
        let inside = self.in_items && self.depth >= 3;
        if inside {
            if self.item.len() >= MAX_ITEM {
                return Err(Error::TooLarge);
            }
            self.item.push(byte);
        }
        if self.in_string {
            self.string(byte, inside);
            return Ok(false);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.name.clear();
            }
            b'{' | b'[' => {
                if self.over {
                    return Err(Error::NotAList);
                }
                if self.depth == 1 {
                    self.in_items = byte == b'[' && self.name == ITEMS;
                }
                if self.depth == 2 && self.in_items {
                    self.item.push(byte);
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or(Error::NotAList)?;
                self.over = self.depth == 0;
                return Ok(inside && self.depth == 2);
            }
            _ => {}
        }
        Ok(false)
    }

    fn string(&mut self, byte: u8, inside: bool) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        match byte {
            b'"' => self.in_string = false,
            b'\\' => self.escaped = true,
            _ if !inside && self.name.len() <= ITEMS.len() => self.name.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of a text that comes in pieces of this size.
    fn cut(text: &str, size: usize) -> Result<Vec<String>, Error> {
        let (mut items, mut found) = (Items::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            items.feed(piece, |item| {
                found.push(String::from_utf8(item.to_vec()).unwrap());
                Ok::<_, Error>(())
            })?;
        }
        items.end()?;
        Ok(found)
    }

    #[test]
    fn a_list_is_cut_into_its_items() {
        let check = |text: &str, expect: Result<&[&str], Error>| {
            for size in [1, 2, 7, 1000] {
                let expect = expect.map(|items| items.iter().map(|it| (*it).to_owned()).collect());
                assert_eq!(cut(text, size), expect, "{text}");
            }
        };
        check(r#"{"kind":"PodList","items":[]}"#, Ok(&[]));
        check(r#"{"kind":"PodList","items":null}"#, Ok(&[]));
        check(
            r#" {"metadata": {"items": [{"no": 1}]}, "items" : [ {"a":[{}]} , {} ], "x": [{}]} "#,
            Ok(&[r#"{"a":[{}]}"#, "{}"]),
        );
        check(
            r#"{"items":[{"a":"}]\"{[\\"},{"items":[{}]}],"items2":[{}]}"#,
            Ok(&[r#"{"a":"}]\"{[\\"}"#, r#"{"items":[{}]}"#]),
        );
        for text in ["", "no list", r#"{"items":[{}"#, "}", "{}{}"] {
            check(text, Err(Error::NotAList));
        }
        let large = format!(r#"{{"items":[{{"a":"{}"}}]}}"#, "x".repeat(MAX_ITEM));
        assert_eq!(cut(&large, 4096), Err(Error::TooLarge));
    }
}
