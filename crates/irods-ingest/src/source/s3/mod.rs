//! A bucket of an S3 server as a source: what lies between slashes in its keys is a directory.
//!
//! One directory is one listing with the delimiter `/`, in pages (see `pages`). A key prefix is a directory as well: `/bucket/a` holds `a/b` and not
//! `ab`. Absolute paths are `/BUCKET/KEY`, which is how the S3 resource of iRODS knows what is registered on it. What keys cannot be paths: see `keys`.
//!
//! An object is what its ETag, size and time of modification say. It is read in ranges, each bound to the ETag that was seen first:
//! an object that is replaced meanwhile is an error, never a mixture.
//!
//! Calls wait for the server, so they belong on a thread that may block.

use std::borrow::Cow;
use std::error::Error;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::Response;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OnceCell, Semaphore};

use super::{Entry, Links, Listing, Look, MountFacts, Source, SourceError, Stat};

mod access;
mod error;
mod etag;
mod keys;
mod pages;
mod read;
mod requests;

pub use access::{AWS, Access, AccessError};
pub use pages::Mark;
pub use requests::Requests;

use keys::Object;
use read::Ranges;
use requests::Repeated;

/// Parts of objects that one worker reads ahead for a job, besides the one that each upload is at.
const PARTS_AHEAD: usize = 8;

/// A request to a server that answers with errors, slowly or not at all is made so often.
const ATTEMPTS: u32 = 8;

/// The same where somebody waits for the answer.
const PROBES: u32 = 3;

/// A bucket, or what of it has keys that begin with a prefix.
#[derive(Debug, Clone)]
pub struct Bucket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// Without slashes at its ends; empty for the whole bucket.
    prefix: String,
    access: Access,
    /// Whether what was read is compared with its ETag, where that is a hash.
    verify: bool,
    attempts: u32,
    client: OnceCell<Client>,
    requests: Repeated,
    ahead: Arc<Semaphore>,
}

impl Bucket {
    /// The source at `/BUCKET` or `/BUCKET/PREFIX`. The server is asked when something of it is. With `verify`, what is read from
    /// its beginning to its end is compared with its ETag, where that is a hash of the content.
    ///
    /// # Errors
    /// The path is none of a bucket, or has elements that no key's path can have.
    pub fn at(
        path: &Path,
        access: Access,
        verify: bool,
        requests: Arc<Requests>,
    ) -> Result<Self, SourceError> {
        Self::new(path, access, verify, (ATTEMPTS, requests))
    }

    /// Whether the server answers and has something at that path. Somebody waits for it, so it is not asked as often as by work.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn probe(path: &Path, access: Access) -> Result<(), SourceError> {
        let requests = Requests::new(Requests::MOST, Requests::SILENCE);
        let bucket = Self::new(path, access, false, (PROBES, requests))?;
        runtime()?.block_on(bucket.check_root())
    }

    fn new(
        path: &Path,
        access: Access,
        verify: bool,
        (attempts, requests): (u32, Arc<Requests>),
    ) -> Result<Self, SourceError> {
        let outside = || SourceError::OutsideTree {
            path: path.to_owned(),
        };
        let text = path.to_str().ok_or_else(outside)?;
        let (name, prefix) = parts(text).ok_or_else(outside)?;
        Ok(Bucket {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                prefix: prefix.to_owned(),
                access,
                verify,
                attempts,
                client: OnceCell::new(),
                requests: Repeated::new(requests),
                ahead: Arc::new(Semaphore::new(PARTS_AHEAD)),
            }),
        })
    }

    /// The absolute path of what `given` names: `s3://BUCKET[/PREFIX]`, `/BUCKET[/PREFIX]` or `BUCKET[/PREFIX]`; slashes at the
    /// ends mean nothing. `None` if it names no bucket, or an element is empty, `.` or `..`.
    pub fn absolute(given: &str) -> Option<PathBuf> {
        let (bucket, prefix) = parts(given.strip_prefix("s3://").unwrap_or(given))?;
        Some(match prefix {
            "" => format!("/{bucket}").into(),
            prefix => format!("/{bucket}/{prefix}").into(),
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        format!("/{}/{key}", self.shared.name).into()
    }

    /// The key of an entry, or with no name the directory's own without its slash.
    fn key(&self, directory: &Path, name: &[u8]) -> Result<String, SourceError> {
        let directory = directory.as_os_str().as_bytes();
        let parts = [self.shared.prefix.as_bytes(), directory, name];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        // Keys are text: what is none was never listed.
        String::from_utf8(parts.join(&b'/')).map_err(|error| SourceError::Vanished {
            path: PathBuf::from(std::ffi::OsStr::from_bytes(error.as_bytes())),
        })
    }

    async fn client(&self) -> Result<&Client, SourceError> {
        let shared = &self.shared;
        let connect = || {
            shared
                .access
                .client(shared.attempts, shared.requests.clone())
        };
        Ok(self.shared.client.get_or_try_init(connect).await?)
    }

    /// The server answers, and there is something below the root unless that is the whole bucket.
    async fn check_root(&self) -> Result<(), SourceError> {
        let prefix = as_prefix(self.shared.prefix.clone());
        match self.is_prefix(&prefix).await {
            Ok(is_there) if is_there || prefix.is_empty() => Ok(()),
            Ok(_) => Err(SourceError::RootMissing {
                path: self.path(&self.shared.prefix),
            }),
            Err(mut error) => {
                // Whatever it is, this worker does not see the root.
                if let SourceError::Remote { of_worker, .. } = &mut error {
                    *of_worker = true;
                }
                Err(error)
            }
        }
    }

    /// Whether the server answers at once when it is asked for the root.
    async fn tells_root(&self) -> Result<bool, SourceError> {
        let prefix = as_prefix(self.shared.prefix.clone());
        let request = self.page_request(&prefix, 1).await?.customize();
        let once = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        let _turn = self.shared.requests.turn().await?;
        Ok(request.config_override(once).send().await.is_ok())
    }

    /// Facts of an object, or of the directory that its key is.
    async fn stat_key(&self, key: &str) -> Result<Stat, SourceError> {
        match self.head(key).await {
            Err(SourceError::Vanished { .. }) if self.is_prefix(&as_prefix(key.into())).await? => {
                Ok(keys::directory_stat())
            }
            found => Ok(found?.stat()),
        }
    }

    async fn head(&self, key: &str) -> Result<Object, SourceError> {
        let turn = self.shared.requests.turn().await?;
        let request = self.client().await?.head_object();
        let head = match request.bucket(&self.shared.name).key(key).send().await {
            Ok(head) => head,
            Err(error) => {
                drop(turn);
                let failed = self.failed("look at", key, &error).await;
                return Err(self.why(key, failed).await);
            }
        };
        Ok(Object {
            size: count(head.content_length()).unwrap_or(0),
            modified: head.last_modified().map_or(0, |time| time.secs()),
            etag: head.e_tag().map(str::to_owned),
        })
    }

    /// The answer to a look has no text, so a refusal of the object looks like one of the keys: an answer with a text tells.
    async fn why(&self, key: &str, refused: SourceError) -> SourceError {
        match refused {
            SourceError::Unreadable { .. } => match self.ask(key, 0, 1, None).await {
                Err(told) => told,
                Ok(_) => refused,
            },
            told => told,
        }
    }

    /// What an error means. Where no answer came, the server may be gone, or have trouble with this one thing: what it says to a
    /// question for the root tells.
    async fn failed<E>(
        &self,
        doing: &'static str,
        key: &str,
        error: &SdkError<E, Response>,
    ) -> SourceError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut failed = error::of(doing, self.path(key), error);
        if error.as_service_error().is_none()
            && let SourceError::Remote { of_worker, .. } = &mut failed
        {
            *of_worker = !self.tells_root().await.unwrap_or(false);
        }
        failed
    }
}

/// Where requests are made: not in the runtime of who asks, since that may be shut down while a thread still waits for an answer.
fn runtime() -> Result<Handle, SourceError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| SourceError::Io {
            doing: "make threads for",
            path: "S3".into(),
            source,
        })?;
    Ok(RUNTIME.get_or_init(|| made).handle().clone())
}

/// Bytes as the answers of the server have them; `None` where they do not say, or nonsense.
fn count(bytes: Option<i64>) -> Option<u64> {
    u64::try_from(bytes?).ok()
}

/// A key with the slash that makes it the beginning of others; the empty one begins all.
fn as_prefix(mut key: String) -> String {
    if !key.is_empty() {
        key.push('/');
    }
    key
}

/// Bucket and key prefix, without slashes at their ends.
fn parts(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_matches('/');
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let odd = |name: &str| matches!(name, "" | "." | "..") || name.contains('\0');
    match odd(bucket) || (!prefix.is_empty() && prefix.split('/').any(odd)) {
        true => None,
        false => Some((bucket, prefix)),
    }
}

impl Source for Bucket {
    /// Nothing is mounted in a bucket. For the root this is the question whether it is there.
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError> {
        if directory.as_os_str().is_empty() {
            runtime()?.block_on(self.check_root())?;
        }
        Ok(MountFacts {
            dev: 0,
            is_mount_point: false,
        })
    }

    fn list(&self, directory: &Path, _: Links) -> Result<Listing, SourceError> {
        runtime()?.block_on(self.list_all(directory))
    }

    fn page(
        &self,
        directory: &Path,
        _: Links,
        after: Option<&Mark>,
    ) -> Result<(Listing, Option<Mark>), SourceError> {
        runtime()?.block_on(self.list_page(directory, after))
    }

    fn place<'a>(&self, entry: &'a Entry) -> Cow<'a, [u8]> {
        keys::place(entry)
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        _: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError> {
        let key = self.key(directory, name)?;
        match runtime()?.block_on(self.stat_key(&key)) {
            Err(error @ (SourceError::Remote { .. } | SourceError::Access(_))) => Err(error),
            found => Ok(found),
        }
    }

    fn look(&self, directory: &Path, name: &[u8], _: Links) -> Result<Look, SourceError> {
        let key = self.key(directory, name)?;
        Ok(Look {
            stat: runtime()?.block_on(self.stat_key(&key))?,
            link: None,
            readable: true,
        })
    }

    fn open(
        &self,
        directory: &Path,
        name: &[u8],
        from: u64,
    ) -> Result<(Box<dyn Read + Send>, Stat), SourceError> {
        let key = self.key(directory, name)?;
        let runtime = runtime()?;
        let (ranges, stat) = runtime.block_on(Ranges::open(self, key, from, runtime.clone()))?;
        Ok((Box::new(ranges), stat))
    }

    fn take_repeated(&self) -> u64 {
        self.shared.requests.take()
    }

    /// What has the same ETag has the same bytes, whenever they were written.
    fn is_versioned(&self) -> bool {
        true
    }
}
