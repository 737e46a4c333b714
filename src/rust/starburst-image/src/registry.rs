//! One repository of a registry: documents, blobs, and what a refusal means.
use crate::{
    auth::{self, Login, Logins, not_known},
    documents::{Stored, accepted, digest_of},
    error::{damaged, fail, senseless},
    http::{Body, Http, Lost, Request, Response, unreachable},
    reference::{ImageRef, is_digest},
};
use serde::Deserialize;
use starburst_core::error::{Error, ErrorKind};
use std::sync::Mutex;
use url::Url;

/// The longest document that is read.
const LONGEST_DOCUMENT: usize = 8 << 20;

/// A repository, as one user sees it. It knows passwords, so it is never shown.
pub(crate) struct Repository {
    pub(crate) http: Http,
    pub(crate) registry: String,
    pub(crate) name: String,
    server: Url,
    login: Option<Login>,
    scopes: Vec<String>,
    /// What the registry wants to be sent along, once it said so.
    authorization: Mutex<Option<String>>,
}

impl Repository {
    /// The repository of an image, to read it only, or to write it. `mounts` is another one of the same registry that is read.
    pub(crate) fn new(
        http: &Http,
        image: &ImageRef,
        logins: &Logins,
        writes: bool,
        mounts: Option<&str>,
    ) -> Result<Self, Error> {
        let server = Url::parse(&image.server())
            .map_err(|e| senseless(&image.registry, "its address", e.to_string()))?;
        let actions = if writes { "pull,push" } else { "pull" };
        let mut scopes = vec![format!("repository:{}:{actions}", image.repository)];
        scopes.extend(mounts.map(|other| format!("repository:{other}:pull")));
        Ok(Self {
            http: http.clone(),
            registry: image.registry.clone(),
            name: image.repository.clone(),
            server,
            login: logins.get(&image.registry).cloned(),
            scopes,
            authorization: Mutex::new(None),
        })
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        let url = self.server.join(&format!("/v2/{}/{path}", self.name));
        url.map_err(|e| senseless(&self.registry, path, e.to_string()))
    }

    fn known(&self) -> Option<String> {
        self.authorization.lock().map(|known| known.clone()).unwrap_or_default()
    }

    /// The request with what the registry wants to know, if it is this registry that is asked.
    fn authorized(&self, request: &Request) -> Request {
        match self.known() {
            Some(known) if request.url.origin() == self.server.origin() => {
                request.clone().with("authorization", known)
            }
            Some(_) | None => request.clone(),
        }
    }

    async fn introduce(&self, refused: &Response) -> Result<(), Error> {
        let login = self.login.as_ref();
        let answer = auth::answer(&self.http, &self.registry, login, refused, &self.scopes).await?;
        if let Ok(mut known) = self.authorization.lock() {
            *known = Some(answer);
        }
        Ok(())
    }

    /// Asks until there is an answer, and tells who asks if the registry wants to know.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Response, Error> {
        let response = self.http.tried(&self.authorized(request)).await?;
        if response.status != 401 {
            return Ok(response);
        }
        self.introduce(&response).await?;
        let response = self.http.tried(&self.authorized(request)).await?;
        self.taken(response)
    }

    /// The same with one try, for what must not be done twice.
    pub(crate) async fn ask_once(
        &self,
        request: &Request,
    ) -> Result<Result<Response, Lost>, Error> {
        let response = match self.http.once(&self.authorized(request)).await {
            Ok(response) if response.status == 401 => response,
            other => return Ok(other),
        };
        self.introduce(&response).await?;
        match self.http.once(&self.authorized(request)).await {
            Ok(response) => self.taken(response).map(Ok),
            lost => Ok(lost),
        }
    }

    fn taken(&self, response: Response) -> Result<Response, Error> {
        if response.status == 401 {
            return Err(not_known(&self.registry, self.login.as_ref(), "HTTP status 401"));
        }
        Ok(response)
    }

    /// A document by its tag or digest; `None` if there is none.
    pub(crate) async fn document(&self, version: &str) -> Result<Option<Vec<u8>>, Error> {
        let request = Request::get(self.url(&format!("manifests/{version}"))?);
        let request = request.with("accept", accepted());
        self.read(request, version, LONGEST_DOCUMENT).await
    }

    /// A small blob, checked.
    pub(crate) async fn small_blob(&self, digest: &str) -> Result<Vec<u8>, Error> {
        let request = Request::get(self.url(&format!("blobs/{digest}"))?);
        let found = self.read(request, digest, LONGEST_DOCUMENT).await?;
        found.ok_or_else(|| self.gone(digest))
    }

    async fn read(
        &self,
        request: Request,
        version: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let response = self.ask(&request).await?;
        match response.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(response, &format!("read `{version}`")).await),
        }
        let bytes =
            response.bytes(limit).await.map_err(|lost| unreachable(&request.url, &lost.0))?;
        if is_digest(version) && digest_of(&bytes) != version {
            return Err(damaged("the document", version));
        }
        Ok(Some(bytes))
    }

    /// Begins to read a blob at a byte.
    pub(crate) async fn blob_from(&self, digest: &str, from: u64) -> Result<Body, Error> {
        let mut request = Request::get(self.url(&format!("blobs/{digest}"))?);
        if from > 0 {
            request = request.with("range", format!("bytes={from}-"));
        }
        let response = self.ask(&request).await?;
        match (response.status, from) {
            (200, 0) | (206, _) => Ok(response.body()),
            // It does not know ranges: what is known already is read again and left out by the caller.
            (200, _) => self.skip(response.body(), from, &request.url).await,
            (404, _) => Err(self.gone(digest)),
            (_, _) => Err(self.refused(response, &format!("read `{digest}`")).await),
        }
    }

    async fn skip(&self, mut body: Body, bytes: u64, url: &Url) -> Result<Body, Error> {
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = body.next_at_most(most).await.map_err(|l| unreachable(url, &l.0))?;
            if piece.is_empty() {
                return Err(unreachable(url, "the connection was closed too early"));
            }
            left -= piece.len() as u64;
        }
        Ok(body)
    }

    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&self, digest: &str) -> Result<bool, Error> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let response = self.ask(&Request { method: "HEAD", ..Request::get(url) }).await?;
        match response.status {
            // Only what is there is given elsewhere.
            200 | 301 | 302 | 307 | 308 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(response, &format!("look for `{digest}`")).await),
        }
    }

    /// Stores a document under a tag or its own digest.
    pub(crate) async fn put_document(&self, version: &str, stored: &Stored) -> Result<(), Error> {
        let request = Request {
            method: "PUT",
            body: stored.bytes.clone(),
            ..Request::get(self.url(&format!("manifests/{version}"))?)
        };
        let request = request.with("content-type", &stored.descriptor.media_type);
        let response = self.ask(&request).await?;
        match response.status {
            200..300 => Ok(()),
            _ => Err(self.refused(response, &format!("store `{}:{version}`", self.name)).await),
        }
    }

    fn gone(&self, digest: &str) -> Error {
        fail(
            ErrorKind::NotFound,
            format!("`{}/{}` lacks a part of its own, `{digest}`", self.registry, self.name),
            digest,
            "HTTP status 404",
            "push the base image again, or choose another",
        )
    }

    /// The error for an answer that refuses to do something.
    pub(crate) async fn refused(&self, response: Response, what: &str) -> Error {
        #[derive(Deserialize, Default)]
        struct Told {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        #[derive(Deserialize, Default)]
        struct Answer {
            #[serde(default)]
            errors: Vec<Told>,
        }
        let status = response.status;
        let bytes = response.bytes(LONGEST_DOCUMENT).await.unwrap_or_default();
        let answer: Answer = serde_json::from_slice(&bytes).unwrap_or_default();
        let told = answer.errors.first();
        let said = told.map_or(format!("HTTP status {status}"), |told| {
            format!("{}: {}", told.code, told.message)
        });
        let registry = &self.registry;
        let message = format!("the registry `{registry}` refuses to {what}");
        let no_repository = told.is_some_and(|told| told.code == "NAME_UNKNOWN");
        let (kind, advice) = match status {
            403 => (ErrorKind::Permission, "ask its owner for the right to read and write there"),
            404 if no_repository => {
                (ErrorKind::NotFound, "make the repository first, or check its name")
            }
            429 => (
                ErrorKind::Unavailable,
                "it is asked too often: sign in there with `docker login`, or try later",
            ),
            500.. => (ErrorKind::Unavailable, "try again later"),
            _ => (ErrorKind::InvalidInput, "check the address of the image"),
        };
        fail(kind, message, registry, said, advice)
    }
}
