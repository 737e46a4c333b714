//! Where a store is: `s3://bucket/prefix`, and how to get there.
use std::fmt;

/// A bucket and the beginning of the names in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What every name begins with; empty, or ending with a slash.
    pub prefix: String,
}

/// Text that does not name a place in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLocation(String);

impl fmt::Display for InvalidLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` does not name a place in S3: it takes the form s3://bucket or s3://bucket/folder, \
             a bucket of 3 to 63 characters of a-z, 0-9, dots and -",
            self.0
        )
    }
}

impl std::error::Error for InvalidLocation {}

impl S3Location {
    /// Reads `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`InvalidLocation`], which says what is allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = || InvalidLocation(text.chars().take(100).collect());
        let rest = text.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(allowed) {
            return Err(invalid());
        }
        let folder = folder.trim_matches('/');
        if folder.len() > 512 || folder.chars().any(char::is_control) || folder.contains("//") {
            return Err(invalid());
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The full name of an object, for messages.
    pub fn url(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    /// The name of an object for IAM.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:s3:::{}/{}{name}", self.bucket, self.prefix)
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url("").trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_printed() {
        for (text, bucket, prefix) in [
            ("s3://abc", "abc", ""),
            ("s3://abc/", "abc", ""),
            ("s3://abc.d-1/team/a", "abc.d-1", "team/a/"),
            ("s3://abc/team/", "abc", "team/"),
        ] {
            let place = S3Location::parse(text).unwrap();
            assert_eq!((place.bucket.as_str(), place.prefix.as_str()), (bucket, prefix));
            assert_eq!(place.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_is_no_place_is_refused_in_words() {
        for text in
            ["", "abc", "s3://", "s3://ab", "s3://Abc", "s3://a_bc", "s3://abc/a//b", "/tmp"]
        {
            let refused = S3Location::parse(text).unwrap_err().to_string();
            assert!(refused.contains("s3://bucket"), "{refused}");
        }
    }
}
