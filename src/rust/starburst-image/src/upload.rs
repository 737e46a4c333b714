//! Bringing a blob into a repository, from a file or from another registry.
//!
//! 1. A blob that is there is not sent again.
//! 2. One of another repository of the same registry is mounted, if the registry does that.
//! 3. A small one is sent with one request, a large one in chunks. After a failure the registry is asked how far it
//!    is: it goes on there, or the upload starts anew where it knows nothing of it any more.
//! 4. What was sent is hashed on the way, and the registry compares the digest too.
use crate::{
    documents::{Descriptor, shown},
    error::{damaged, senseless},
    http::{Body, Http, Lost, Request, Response, TRIES, passes, unreachable},
    registry::Repository,
};
use sha2::{Digest as _, Sha256};
use starburst_core::error::Error;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};
use url::Url;

/// Bytes of a chunk. ECR wants chunks of 5 MiB at least, and none may be larger than 20 MiB (AWS, November 2026).
#[cfg(not(test))]
const CHUNK: usize = 10 << 20;
/// Small ones, so that tests of many chunks need few bytes.
#[cfg(test)]
const CHUNK: usize = 1 << 20;

/// Where the bytes of a blob come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
    Repository(&'a Repository),
}

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The repository had it.
    Present,
    /// It was taken over from another repository of the registry.
    Mounted,
    /// It was sent.
    Sent,
}

/// What an upload's end may be told by the registry.
enum Step {
    /// The chunk is there, and the next one goes to this address.
    On(Url),
    /// The registry has so many bytes, and the next ones go to this address.
    From(u64, Url),
    /// It knows nothing of this upload.
    Anew,
}

/// Told how many bytes more were sent.
pub(crate) type Sent<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Makes a repository have a blob.
pub(crate) async fn put_blob(
    to: &Repository,
    blob: &Descriptor,
    source: Source<'_>,
    sent: Sent<'_>,
) -> Result<Fate, Error> {
    if to.has_blob(&blob.digest).await? {
        return Ok(Fate::Present);
    }
    let mut failures = 0;
    let mut backoff = Http::backoff();
    let neighbour = match source {
        Source::Repository(from) if from.registry == to.registry => Some(from.name.as_str()),
        Source::Repository(_) | Source::File(_) | Source::Bytes(_) => None,
    };
    loop {
        let Some(place) = start(to, blob, neighbour).await? else {
            return Ok(Fate::Mounted);
        };
        let said = match send(to, blob, source, place, sent).await? {
            Ok(()) => return Ok(Fate::Sent),
            Err(said) => said,
        };
        // The answer to the last request may have been lost.
        if to.has_blob(&blob.digest).await? {
            return Ok(Fate::Sent);
        }
        failures += 1;
        if failures >= TRIES {
            return Err(unreachable(&to.url("blobs/uploads/")?, &said));
        }
        to.http.wait(&mut backoff).await;
    }
}

/// Starts an upload; `None` if the registry took the blob over from a neighbour instead.
async fn start(
    to: &Repository,
    blob: &Descriptor,
    neighbour: Option<&str>,
) -> Result<Option<Url>, Error> {
    let mut url = to.url("blobs/uploads/")?;
    if let Some(from) = neighbour {
        url.query_pairs_mut().append_pair("mount", &blob.digest).append_pair("from", from);
    }
    let response = to.ask(&Request { method: "POST", ..Request::get(url) }).await?;
    match response.status {
        201 if neighbour.is_some() => Ok(None),
        202 => location(to, &response).map(Some),
        _ => Err(to.refused(response, &format!("take layers into `{}`", to.name)).await),
    }
}

fn location(to: &Repository, response: &Response) -> Result<Url, Error> {
    let to_where = response.header("location").and_then(|place| response.url.join(place).ok());
    to_where.ok_or_else(|| senseless(&to.registry, "an upload", "it names no address for it"))
}

/// Sends a blob to an upload. The inner error is in words, and another upload may do better.
async fn send(
    to: &Repository,
    blob: &Descriptor,
    source: Source<'_>,
    mut place: Url,
    sent: Sent<'_>,
) -> Result<Result<(), String>, Error> {
    let whole = blob.size <= CHUNK as u64;
    let mut reader = Reader { source, digest: &blob.digest, at: 0, open: None };
    let mut hash = Sha256::new();
    let mut done = 0;
    while done < blob.size {
        let chunk = reader.chunk(blob.size).await?;
        hash.update(&chunk);
        if whole {
            check(hash, blob)?;
            let finished = finish(to, blob, place, chunk).await?;
            return Ok(finished.inspect(|()| sent(blob.size)));
        }
        match send_chunk(to, place, done, &chunk).await? {
            Ok(next) => place = next,
            Err(said) => return Ok(Err(said)),
        }
        done += chunk.len() as u64;
        sent(chunk.len() as u64);
    }
    check(hash, blob)?;
    finish(to, blob, place, Vec::new()).await
}

fn check(hash: Sha256, blob: &Descriptor) -> Result<(), Error> {
    if shown(hash.finalize().as_slice()) == blob.digest {
        return Ok(());
    }
    Err(damaged("the layer", &blob.digest))
}

/// Sends one chunk, and again what the registry does not have of it, until it is there.
async fn send_chunk(
    to: &Repository,
    mut place: Url,
    begins: u64,
    chunk: &[u8],
) -> Result<Result<Url, String>, Error> {
    let ends = begins + chunk.len() as u64;
    let mut have = begins;
    let mut backoff = Http::backoff();
    let mut failures = 0;
    loop {
        let rest = chunk.get((have - begins) as usize..).unwrap_or_default();
        let request = Request {
            method: "PATCH",
            body: rest.to_vec(),
            ..Request::get(place.clone())
                .with("content-type", "application/octet-stream")
                .with("content-range", format!("{have}-{}", ends - 1))
        };
        let said = match to.ask_once(&request).await? {
            Ok(response) if response.status == 202 => {
                return location(to, &response).map(Ok);
            }
            Ok(response) if passes(response.status) || matches!(response.status, 404 | 416) => {
                format!("HTTP status {}", response.status)
            }
            Ok(response) => return Err(to.refused(response, "take a part of a layer").await),
            Err(Lost(said)) => said,
        };
        failures += 1;
        if failures >= TRIES {
            return Ok(Err(said));
        }
        to.http.wait(&mut backoff).await;
        match progress(to, &place, ends).await? {
            Step::On(next) => return Ok(Ok(next)),
            Step::From(bytes, next) if bytes >= begins => (have, place) = (bytes, next),
            Step::From(..) | Step::Anew => return Ok(Err(said)),
        }
    }
}

/// Asks how far an upload is.
async fn progress(to: &Repository, place: &Url, ends: u64) -> Result<Step, Error> {
    let response = to.ask(&Request::get(place.clone())).await?;
    if response.status != 204 && response.status != 200 {
        return Ok(Step::Anew);
    }
    let next = location(to, &response).unwrap_or_else(|_| place.clone());
    let range = response.header("range").unwrap_or_default();
    let last = range.rsplit_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
    Ok(match last {
        // Registries say `0-0` of an upload without bytes too, and no chunk has one byte.
        None | Some(0) => Step::From(0, next),
        Some(last) if last + 1 == ends => Step::On(next),
        Some(last) if last + 1 < ends => Step::From(last + 1, next),
        Some(_) => Step::Anew,
    })
}

/// Ends an upload, with the last bytes.
async fn finish(
    to: &Repository,
    blob: &Descriptor,
    mut place: Url,
    body: Vec<u8>,
) -> Result<Result<(), String>, Error> {
    place.query_pairs_mut().append_pair("digest", &blob.digest);
    let request = Request { method: "PUT", body, ..Request::get(place) }
        .with("content-type", "application/octet-stream");
    match to.ask_once(&request).await? {
        Ok(response) if response.status == 201 || response.status == 204 => Ok(Ok(())),
        Ok(response) if passes(response.status) || response.status == 404 => {
            Ok(Err(format!("HTTP status {}", response.status)))
        }
        Ok(response) => Err(to.refused(response, "take a layer").await),
        Err(Lost(said)) => Ok(Err(said)),
    }
}

/// Reads a blob from its beginning, a chunk at a time.
struct Reader<'a> {
    source: Source<'a>,
    digest: &'a str,
    at: u64,
    open: Option<Open>,
}

enum Open {
    File(File),
    Body(Body),
}

impl Reader<'_> {
    /// The next bytes of a blob of `size`, as many as a chunk has, or as there are.
    async fn chunk(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let wanted = usize::try_from(size - self.at).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = Vec::with_capacity(wanted);
        let mut failures = 0;
        let mut backoff = Http::backoff();
        while chunk.len() < wanted {
            let left = wanted - chunk.len();
            match self.some(left).await? {
                Ok(piece) => {
                    self.at += piece.len() as u64;
                    chunk.extend_from_slice(&piece);
                }
                Err(Lost(said)) => {
                    self.open = None;
                    let Source::Repository(from) = self.source else {
                        return Err(damaged("the file of layer", self.digest));
                    };
                    failures += 1;
                    if failures >= TRIES {
                        return Err(unreachable(&from.url("blobs/")?, &said));
                    }
                    from.http.wait(&mut backoff).await;
                }
            }
        }
        Ok(chunk)
    }

    /// Some bytes, at least one.
    async fn some(&mut self, most: usize) -> Result<Result<Vec<u8>, Lost>, Error> {
        if let Source::Bytes(bytes) = self.source {
            let from = usize::try_from(self.at).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            let piece = rest.get(..most.min(rest.len())).unwrap_or_default().to_vec();
            return Ok(if piece.is_empty() { Err(Lost("too short".into())) } else { Ok(piece) });
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => match self.source {
                Source::Repository(from) => Open::Body(from.blob_from(self.digest, self.at).await?),
                Source::File(path) => match opened(path, self.at) {
                    Ok(file) => Open::File(file),
                    Err(error) => return Ok(Err(Lost(error.to_string()))),
                },
                Source::Bytes(_) => return Ok(Err(Lost("too short".into()))),
            },
        };
        let (open, piece) = match open {
            Open::File(mut file) => {
                let mut piece = vec![0; most];
                let read = file.read(&mut piece).map_err(|error| Lost(error.to_string()));
                let piece = read.map(|bytes| {
                    piece.truncate(bytes);
                    piece
                });
                (Open::File(file), piece)
            }
            Open::Body(mut body) => {
                let piece = body.next_at_most(most).await.map(|piece| piece.to_vec());
                (Open::Body(body), piece)
            }
        };
        Ok(match piece {
            Ok(piece) if piece.is_empty() => Err(Lost("it ended too early".into())),
            Ok(piece) => {
                self.open = Some(open);
                Ok(piece)
            }
            Err(lost) => Err(lost),
        })
    }
}

fn opened(path: &Path, at: u64) -> std::io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file)
}
