//! Members of a request. One of another type is AWS's `SerializationException`.
use super::failure::AwsFailure;
use serde_json::Value;

/// The body of a request, or an object in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a Value);

impl<'a> Input<'a> {
    /// The member, `None` if it is absent or null.
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        self,
        name: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, AwsFailure> {
        let wrong = || AwsFailure::serialization(format!("{name} is not {kind}"));
        self.value(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, AwsFailure> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn required_text(self, name: &str) -> Result<&'a str, AwsFailure> {
        let missing = || AwsFailure::parameter(format!("{name} can not be blank."));
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    pub(super) fn number(self, name: &str) -> Result<Option<i64>, AwsFailure> {
        self.typed(name, "an integer", Value::as_i64)
    }

    pub(super) fn flag(self, name: &str) -> Result<bool, AwsFailure> {
        Ok(self.typed(name, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    pub(super) fn object(self, name: &str) -> Result<Option<Input<'a>>, AwsFailure> {
        self.typed(name, "an object", |value| value.is_object().then_some(Input(value)))
    }

    /// The elements; none if the list is absent.
    pub(super) fn list(self, name: &str) -> Result<&'a [Value], AwsFailure> {
        let list = self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))?;
        Ok(list.unwrap_or_default())
    }

    pub(super) fn objects(self, name: &str) -> Result<Vec<Input<'a>>, AwsFailure> {
        Ok(self.list(name)?.iter().map(Input).collect())
    }

    pub(super) fn texts(self, name: &str) -> Result<Vec<&'a str>, AwsFailure> {
        let wrong = || AwsFailure::serialization(format!("{name} is not a list of strings"));
        self.list(name)?.iter().map(|value| value.as_str().ok_or_else(wrong)).collect()
    }
}

/// One page of a list: at most `most` elements, and what the next page begins with.
pub(super) struct Page<T> {
    pub(super) elements: Vec<T>,
    pub(super) next: Option<String>,
}

/// Cuts a page out of a whole list. The token is the number of elements before the page.
pub(super) fn page<T>(
    all: Vec<T>,
    token: Option<&str>,
    asked: Option<i64>,
    most: usize,
) -> Result<Page<T>, AwsFailure> {
    let asked = match asked {
        None => most,
        Some(asked) => {
            usize::try_from(asked).ok().filter(|asked| (1..=most).contains(asked)).ok_or_else(
                || AwsFailure::parameter(format!("maxResults must be between 1 and {most}.")),
            )?
        }
    };
    let invalid = || AwsFailure::parameter("Invalid token.");
    let skip: usize = token.map_or(Ok(0), |token| token.parse().map_err(|_| invalid()))?;
    let total = all.len();
    let elements: Vec<T> = all.into_iter().skip(skip).take(asked).collect();
    let end = skip + elements.len();
    Ok(Page { elements, next: (end < total).then(|| end.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_of_another_type_is_refused() {
        let body = json!({ "count": "2", "cluster": "a", "group": null });
        let input = Input(&body);
        assert_eq!(input.text("cluster"), Ok(Some("a")));
        assert_eq!(input.text("group"), Ok(None));
        assert_eq!(input.number("count").unwrap_err().code(), "SerializationException");
        assert!(input.required_text("group").is_err());
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let first = page((0..5).collect(), None, Some(3), 100).unwrap();
        assert_eq!((first.elements, first.next.as_deref()), (vec![0, 1, 2], Some("3")));
        let second = page((0..5).collect(), Some("3"), Some(3), 100).unwrap();
        assert_eq!((second.elements, second.next), (vec![3, 4], None));
        assert!(page(vec![1], None, Some(101), 100).is_err());
        assert!(page(vec![1], Some("x"), None, 100).is_err());
    }
}
