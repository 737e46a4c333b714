//! The part of an address behind the question mark, and percent-encoding.

/// Names and values, decoded, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode_form(name), decode_form(value)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Why a request to look or to change something is not done, in one line.
#[derive(Debug)]
pub(crate) enum Refused {
    Unknown(String),
    Malformed(String),
}

/// A value that has to be there.
pub(crate) fn required<T: std::str::FromStr>(query: &Query, name: &str) -> Result<T, Refused> {
    let value = query.get(name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| Refused::Malformed(format!("{name} is missing or malformed")))
}

/// A number, or what it is without one.
pub(crate) fn number(query: &Query, name: &str, default: u64) -> Result<u64, Refused> {
    if query.has(name) { required(query, name) } else { Ok(default) }
}

/// In a query, unlike in a path, a plus sign is a space.
fn decode_form(text: &str) -> String {
    decode(&text.replace('+', "%20"))
}

/// Percent-decoded; a percent sign without two digits stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            Some(_) | None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse(Some("key=a%2Fb+c&uploads&x=1%"));
        assert_eq!(query.get("key"), Some("a/b c"));
        assert_eq!(query.get("uploads"), Some(""));
        assert_eq!(query.get("x"), Some("1%"));
        assert!(!query.has("y"));
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(decode("a+b%20c"), "a+b c");
    }
}
