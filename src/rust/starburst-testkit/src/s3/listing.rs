//! One page of a list of keys: what is on it, and where the next one begins.
use std::{collections::BTreeMap, ops::Bound};

/// The most on one page of S3.
pub(super) const MOST_ON_A_PAGE: usize = 1_000;

/// Which keys are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) prefix: &'a str,
    /// Keys that go on behind this, after the prefix, are told as one group; empty is none.
    pub(super) delimiter: &'a str,
    /// Only what sorts behind this key or group.
    pub(super) after: &'a str,
    /// The most on the page.
    pub(super) limit: usize,
}

/// An entry of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a, V> {
    Object(&'a str, &'a V),
    /// Ends with the delimiter.
    Group(&'a str),
}

impl<V> Item<'_, V> {
    fn text(&self) -> &str {
        match self {
            Self::Object(key, _) => key,
            Self::Group(group) => group,
        }
    }
}

/// A page, and behind what the next one begins if there is one.
#[derive(Debug)]
pub(super) struct Page<'a, V> {
    pub(super) items: Vec<Item<'a, V>>,
    pub(super) next: Option<String>,
}

/// In the order of bytes, as S3 sorts.
pub(super) fn page<'a, V>(map: &'a BTreeMap<String, V>, ask: &Ask<'_>) -> Page<'a, V> {
    let mut items: Vec<Item<'a, V>> = Vec::new();
    let begin = if ask.after >= ask.prefix && !ask.after.is_empty() {
        Bound::Excluded(ask.after)
    } else {
        Bound::Included(ask.prefix)
    };
    // Nothing fits on a page of nothing, and S3 does not call it truncated.
    if ask.limit == 0 {
        return Page { items, next: None };
    }
    for (key, value) in map.range::<str, _>((begin, Bound::Unbounded)) {
        let Some(rest) = key.strip_prefix(ask.prefix) else { break };
        let item = match group_length(rest, ask.delimiter) {
            Some(length) => {
                let group = key.get(..ask.prefix.len() + length).unwrap_or(key);
                if group == ask.after || items.last().is_some_and(|last| last.text() == group) {
                    continue;
                }
                Item::Group(group)
            }
            None => Item::Object(key, value),
        };
        if items.len() == ask.limit {
            let next = items.last().map(|last| last.text().to_owned());
            return Page { items, next };
        }
        items.push(item);
    }
    Page { items, next: None }
}

fn group_length(rest: &str, delimiter: &str) -> Option<usize> {
    if delimiter.is_empty() {
        return None;
    }
    rest.find(delimiter).map(|position| position + delimiter.len())
}

/// A token shows no key, so that nobody makes one from a key.
pub(super) fn token(next: &str) -> String {
    next.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`token()`] was made from.
pub(super) fn from_token(token: &str) -> Option<String> {
    let digits = token.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = digits.map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 8] = ["a", "b/1", "b/2", "b/3", "c", "d/x/1", "d/y/2", "e"];

    fn map() -> BTreeMap<String, ()> {
        KEYS.into_iter().map(|key| (key.to_owned(), ())).collect()
    }

    /// All pages, by following tokens.
    fn pages(prefix: &str, delimiter: &str, limit: usize) -> Vec<Vec<String>> {
        let map = map();
        let (mut after, mut pages) = (String::new(), Vec::new());
        loop {
            let found = page(&map, &Ask { prefix, delimiter, after: &after, limit });
            pages.push(found.items.iter().map(|item| item.text().to_owned()).collect());
            match found.next {
                Some(next) => after = from_token(&token(&next)).unwrap(),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_together_are_the_whole_list() {
        for limit in 1..10 {
            let pages = pages("", "", limit);
            assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit));
            assert_eq!(pages.concat(), KEYS);
        }
    }

    #[test]
    fn a_group_is_told_once_whatever_the_size_of_a_page() {
        for limit in 1..10 {
            assert_eq!(pages("", "/", limit).concat(), ["a", "b/", "c", "d/", "e"], "{limit}");
            assert_eq!(pages("d/", "/", limit).concat(), ["d/x/", "d/y/"], "{limit}");
        }
    }

    #[test]
    fn a_full_last_page_is_the_last() {
        assert_eq!(pages("b/", "", 3).len(), 1);
        assert_eq!(pages("", "/", 5).len(), 1);
        assert_eq!(pages("nothing", "/", 5), [Vec::<String>::new()]);
    }

    #[test]
    fn a_list_begins_behind_a_key_that_need_not_exist() {
        let map = map();
        let ask = Ask { prefix: "b/", delimiter: "", after: "b/15", limit: 9 };
        let found = page(&map, &ask);
        assert_eq!(found.items, [Item::Object("b/2", &()), Item::Object("b/3", &())]);
        assert!(page(&map, &Ask { limit: 0, ..ask }).next.is_none());
    }

    #[test]
    fn a_token_of_somebody_else_is_none() {
        assert_eq!(from_token("b/1"), None);
        assert_eq!(from_token(&token("ä/1")), Some("ä/1".to_owned()));
    }
}
