//! Images in ECR: whether one is there, which there are, deleting them.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use serde_json::{Value, json};
use std::fmt;

/// Images that one call deletes at most (AWS, November 2026).
const DELETED_AT_ONCE: usize = 100;
/// Pages of one listing that are read.
const PAGES: usize = 1_000;

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Its address, without a tag.
    pub uri: String,
    /// Its ARN.
    pub arn: String,
}

/// An image.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// What its bytes are known by: `sha256:...`.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its size in bytes, compressed.
    pub bytes: u64,
    /// When it was pushed, in seconds since the epoch.
    pub pushed_s: Option<f64>,
    /// When it was pulled last, in seconds since the epoch; a day old.
    pub pulled_s: Option<f64>,
}

/// The address of an image in ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAddress {
    /// The account it is in.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// The repository's name.
    pub repository: String,
    /// Which image in it.
    pub image: ImageName,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// The one with this tag now.
    Tag(String),
    /// Always the same one.
    Digest(String),
}

impl ImageName {
    fn json(&self) -> Value {
        match self {
            ImageName::Tag(tag) => json!({ "imageTag": tag }),
            ImageName::Digest(digest) => json!({ "imageDigest": digest }),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageName::Tag(text) | ImageName::Digest(text) => f.write_str(text),
        }
    }
}

impl ImageAddress {
    /// Reads `<account>.dkr.ecr.<region>.amazonaws.com/<repository>`, then `:<tag>` or `@<digest>`; no tag
    /// means `latest`. `None`: it is an image of another registry.
    pub fn parse(uri: &str) -> Option<Self> {
        let (host, path) = uri.split_once('/')?;
        let (account, rest) = host.split_once(".dkr.ecr.")?;
        let (region, domain) = rest.split_once('.')?;
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !digits || !domain.starts_with("amazonaws.") || region.is_empty() {
            return None;
        }
        let (repository, image) = if let Some((repository, digest)) = path.split_once('@') {
            // A tag beside a digest says nothing more.
            let repository = repository.split(':').next().unwrap_or(repository);
            (repository, ImageName::Digest(digest.to_owned()))
        } else if let Some((repository, tag)) = path.split_once(':') {
            (repository, ImageName::Tag(tag.to_owned()))
        } else {
            (path, ImageName::Tag("latest".to_owned()))
        };
        if repository.is_empty() {
            return None;
        }
        let (account, region) = (account.to_owned(), region.to_owned());
        Some(Self { account, region, repository: repository.to_owned(), image })
    }
}

/// Whether there is an image at an address. One that may not be looked for is an error.
///
/// # Errors
/// [`CallError`].
pub async fn has_image(account: &Account, address: &ImageAddress) -> Result<bool, CallError> {
    let call = Call::new(Service::Ecr, "DescribeImages").on(&address.repository);
    let parameters = json!({
        "registryId": address.account,
        "repositoryName": address.repository,
        "imageIds": [address.image.json()],
    });
    match account.in_region(&address.region).json(&call, &parameters).await {
        Ok(_) => Ok(true),
        Err(error) if error.meaning() == Meaning::Absent => Ok(false),
        Err(error) => Err(error),
    }
}

/// Looks for a repository. `None`: there is none of this name.
///
/// # Errors
/// [`CallError`].
pub async fn repository(account: &Account, name: &str) -> Result<Option<Repository>, CallError> {
    let call = Call::new(Service::Ecr, "DescribeRepositories").on(name);
    let answer = match account.json(&call, &json!({ "repositoryNames": [name] })).await {
        Ok(answer) => answer,
        Err(error) if error.meaning() == Meaning::Absent => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = answer["repositories"].as_array().and_then(|found| found.first());
    let text = |found: &Value, name: &str| found[name].as_str().map(ToOwned::to_owned);
    Ok(found.and_then(|found| {
        Some(Repository {
            name: text(found, "repositoryName")?,
            uri: text(found, "repositoryUri")?,
            arn: text(found, "repositoryArn")?,
        })
    }))
}

/// User and password for the registry of this account and region, as registries take them: `user:password` in base 64.
/// They hold for twelve hours.
///
/// # Errors
/// [`CallError`].
pub async fn authorization(account: &Account) -> Result<String, CallError> {
    let call = Call::new(Service::Ecr, "GetAuthorizationToken");
    let answer = account.json(&call, &json!({})).await?;
    let token = answer["authorizationData"][0]["authorizationToken"].as_str();
    token.map(ToOwned::to_owned).ok_or_else(|| account.unreadable(&call, "no token in the answer"))
}

/// The images of a repository. One that does not exist has none.
///
/// # Errors
/// [`CallError`].
pub async fn images(account: &Account, repository: &str) -> Result<Vec<Image>, CallError> {
    let call = Call::new(Service::Ecr, "DescribeImages").on(repository);
    let mut found = Vec::new();
    let mut parameters = json!({ "repositoryName": repository, "maxResults": 1000 });
    for _ in 0..PAGES {
        let answer = match account.json(&call, &parameters).await {
            Ok(answer) => answer,
            Err(error) if error.meaning() == Meaning::Absent => break,
            Err(error) => return Err(error),
        };
        let page = answer["imageDetails"].as_array();
        found.extend(page.into_iter().flatten().filter_map(read_image));
        match answer["nextToken"].as_str() {
            Some(token) => parameters["nextToken"] = token.into(),
            None => break,
        }
    }
    Ok(found)
}

fn read_image(details: &Value) -> Option<Image> {
    let tags = details["imageTags"].as_array().into_iter().flatten();
    Some(Image {
        digest: details["imageDigest"].as_str()?.to_owned(),
        tags: tags.filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).collect(),
        bytes: details["imageSizeInBytes"].as_u64().unwrap_or_default(),
        pushed_s: details["imagePushedAt"].as_f64(),
        pulled_s: details["lastRecordedPullTime"].as_f64(),
    })
}

/// Deletes images, and returns those that could not be, each with the reason. Those that are gone count as deleted.
///
/// # Errors
/// [`CallError`].
pub async fn delete_images(
    account: &Account,
    repository: &str,
    images: &[ImageName],
) -> Result<Vec<(String, String)>, CallError> {
    let call = Call::new(Service::Ecr, "BatchDeleteImage").on(repository);
    let mut left = Vec::new();
    for some in images.chunks(DELETED_AT_ONCE) {
        let ids: Vec<Value> = some.iter().map(ImageName::json).collect();
        let parameters = json!({ "repositoryName": repository, "imageIds": ids });
        let answer = account.json(&call, &parameters).await?;
        let failures = answer["failures"].as_array();
        left.extend(failures.into_iter().flatten().filter_map(read_failure));
    }
    Ok(left)
}

fn read_failure(failure: &Value) -> Option<(String, String)> {
    let code = failure["failureCode"].as_str().unwrap_or_default();
    let id = &failure["imageId"];
    let image = id["imageDigest"].as_str().or_else(|| id["imageTag"].as_str()).unwrap_or_default();
    let reason = failure["failureReason"].as_str().unwrap_or(code);
    (code != "ImageNotFound").then(|| (image.to_owned(), reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_region() {
        let read = |text: &str| ImageAddress::parse(text);
        let found = read("111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/r:4.5").unwrap();
        assert_eq!((found.region.as_str(), found.repository.as_str()), ("eu-west-1", "team/r"));
        assert_eq!(found.image, ImageName::Tag("4.5".into()));
        let found = read("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/r:x@sha256:ab").unwrap();
        assert_eq!(found.repository, "r");
        assert_eq!(found.image, ImageName::Digest("sha256:ab".into()));
        let found = read("111122223333.dkr.ecr.us-east-1.amazonaws.com/r").unwrap();
        assert_eq!(found.image, ImageName::Tag("latest".into()));
        for text in ["rocker/r-ver:4.5", "public.ecr.aws/x/y:1", "x", "a.dkr.ecr.b.amazonaws.com/r"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn images_and_failures_are_read() {
        let details = json!({
            "registryId": "111122223333", "repositoryName": "r", "imageDigest": "sha256:ab",
            "imageTags": ["a", "b"], "imageSizeInBytes": 123, "imagePushedAt": 1764000000.5,
            "artifactMediaType": "application/vnd.docker.container.image.v1+json"
        });
        let image = read_image(&details).unwrap();
        assert_eq!((image.digest.as_str(), image.bytes), ("sha256:ab", 123));
        assert_eq!(
            (image.tags.len(), image.pushed_s, image.pulled_s),
            (2, Some(1764000000.5), None)
        );
        let gone = json!({ "imageId": { "imageTag": "a" }, "failureCode": "ImageNotFound" });
        assert_eq!(read_failure(&gone), None);
        let kept = json!({ "imageId": { "imageDigest": "sha256:ab" },
            "failureCode": "ImageReferencedByManifestList", "failureReason": "a list needs it" });
        assert_eq!(read_failure(&kept), Some(("sha256:ab".into(), "a list needs it".into())));
    }
}
