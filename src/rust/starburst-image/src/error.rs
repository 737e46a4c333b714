//! What went wrong with an image, as errors of the core: what did not come about, what was said, and what to do.
use starburst_core::{
    error::{Error, ErrorKind},
    store::Advised,
};

/// An error about `subject`, with the words of whoever refused, and the next step.
pub(crate) fn fail(
    kind: ErrorKind,
    message: impl Into<String>,
    subject: &str,
    said: impl Into<String>,
    advice: impl Into<String>,
) -> Error {
    Error::Service {
        kind,
        message: message.into(),
        subject: Some(subject.to_owned()),
        source: Box::new(Advised { said: said.into(), advice: advice.into() }),
    }
}

/// A file that should go into an image, and cannot.
pub(crate) fn unfit_file(path: &std::path::Path, said: impl Into<String>, advice: &str) -> Error {
    let path = path.display().to_string();
    fail(ErrorKind::InvalidInput, format!("`{path}` cannot go into an image"), &path, said, advice)
}

/// What a registry sent makes no sense.
pub(crate) fn senseless(registry: &str, what: &str, said: impl Into<String>) -> Error {
    let advice = "check that the address is that of a container registry";
    let message = format!("the answer of `{registry}` about {what} makes no sense");
    fail(ErrorKind::Unavailable, message, registry, said, advice)
}

/// Bytes that are not those that their digest names.
pub(crate) fn damaged(what: &str, digest: &str) -> Error {
    let said = "its bytes do not have this digest";
    fail(
        ErrorKind::Data,
        format!("{what} `{digest}` is damaged"),
        digest,
        said,
        "try again; if it stays so, the registry holds damaged data",
    )
}
