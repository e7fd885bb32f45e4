//! Reading an object from an offset on: in ranges, some of them ahead, each asked for again by itself if it breaks.
//!
//! Every range but the first is asked for under the condition that the object still has the ETag of the first.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::etag::Expected;
use super::keys::Object;
use super::{Bucket, count};
use crate::source::{SourceError, Stat};

/// Bytes of a range.
const PART: u64 = 4 << 20;

/// A range whose bytes stop coming is asked for again so often.
const TRIES: u32 = 6;

/// Pause before the second try; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Ranges {
    runtime: Handle,
    bucket: Bucket,
    key: String,
    etag: Option<String>,
    total: u64,
    /// Where the next range begins that nobody has asked for.
    next: u64,
    current: Part,
    ahead: VecDeque<JoinHandle<Result<Part, SourceError>>>,
    expected: Option<Expected>,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Bytes,
    /// Held while the bytes are.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The first answer.
struct Opened {
    object: Object,
    /// Whether its ETag can be a hash of the content: with keys of one's own or of a key service it is none.
    hashed: bool,
    bytes: Bytes,
}

impl Ranges {
    /// Asks for the first range: the facts come with it.
    pub(super) async fn open(
        bucket: &Bucket,
        key: String,
        from: u64,
        runtime: Handle,
    ) -> Result<(Self, Stat), SourceError> {
        let opened = bucket.open_at(&key, from).await?;
        let (total, etag) = (opened.object.size, opened.object.etag.clone());
        let mut ranges = Ranges {
            runtime,
            bucket: bucket.clone(),
            next: from + opened.bytes.len() as u64,
            expected: None,
            key,
            etag,
            total,
            current: Part {
                bytes: opened.bytes,
                _permit: None,
            },
            ahead: VecDeque::new(),
        };
        if bucket.shared.verify
            && from == 0
            && opened.hashed
            && let Some(etag) = &ranges.etag
        {
            ranges.expected = bucket.expected(&ranges.key, etag, total).await?;
            ranges.check()?;
        }
        Ok((ranges, opened.object.stat()))
    }

    /// Asks for the next range without waiting for it.
    fn ask(&mut self, permit: Option<OwnedSemaphorePermit>) {
        let (bucket, key, etag) = (self.bucket.clone(), self.key.clone(), self.etag.clone());
        let (from, length) = (self.next, PART.min(self.total - self.next));
        self.next += length;
        self.ahead.push_back(self.runtime.spawn(async move {
            let bytes = bucket.range(&key, from, length, etag.as_deref()).await?;
            Ok(Part {
                bytes,
                _permit: permit,
            })
        }));
    }

    fn fill(&mut self) -> Result<(), SourceError> {
        // The one that is waited for, whatever others have in hand.
        self.current = Part::default();
        if self.ahead.is_empty() && self.next < self.total {
            self.ask(None);
        }
        while self.next < self.total
            && let Ok(permit) = self.bucket.shared.ahead.clone().try_acquire_owned()
        {
            self.ask(Some(permit));
        }
        let Some(part) = self.ahead.pop_front() else {
            return Ok(());
        };
        self.current = match self.runtime.block_on(part) {
            Ok(part) => part?,
            Err(_) => return Err(self.bucket.cut(&self.key, "its reader ended")),
        };
        self.check()
    }

    /// Takes the current part into account; at the end everything must be what the ETag says.
    fn check(&mut self) -> Result<(), SourceError> {
        let Some(expected) = &mut self.expected else {
            return Ok(());
        };
        expected.update(&self.current.bytes);
        match self.next == self.total && self.ahead.is_empty() && !expected.holds() {
            true => Err(self
                .bucket
                .cut(&self.key, "the bytes that came are not those of its ETag")),
            false => Ok(()),
        }
    }
}

impl Read for Ranges {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.current.bytes.has_remaining() {
            self.fill().map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.current.bytes.len());
        self.current.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Drop for Ranges {
    fn drop(&mut self) {
        for part in &self.ahead {
            part.abort();
        }
    }
}

impl Bucket {
    /// The object's facts with its first bytes from an offset on.
    async fn open_at(&self, key: &str, from: u64) -> Result<Opened, SourceError> {
        let answer = match self.ask(key, from, PART, None).await {
            // Nothing is there: it is empty, or ends where this begins.
            Err(SourceError::PastEnd { .. }) => {
                return Ok(Opened {
                    object: self.head(key).await?,
                    hashed: false,
                    bytes: Bytes::new(),
                });
            }
            answer => answer?,
        };
        let told = &answer.told;
        let length = count(told.content_length());
        let total = match told.content_range() {
            Some(range) => range
                .rsplit('/')
                .next()
                .and_then(|total| total.parse().ok()),
            None if from == 0 => length,
            None => None,
        };
        let Some(total) = total else {
            return Err(self.cut(key, "the S3 server did not say how long it is"));
        };
        let hashed = told.sse_customer_algorithm().is_none()
            && !told
                .server_side_encryption()
                .is_some_and(|kind| kind.as_str().starts_with("aws:"));
        let object = Object {
            size: total,
            modified: told.last_modified().map_or(0, |time| time.secs()),
            etag: told.e_tag().map(str::to_owned),
        };
        let wanted = PART.min(total.saturating_sub(from));
        let etag = object.etag.clone();
        let bytes = self
            .collect(key, from, wanted, etag.as_deref(), Some(answer))
            .await?;
        Ok(Opened {
            object,
            hashed,
            bytes,
        })
    }

    async fn range(
        &self,
        key: &str,
        from: u64,
        length: u64,
        etag: Option<&str>,
    ) -> Result<Bytes, SourceError> {
        self.collect(key, from, length, etag, None).await
    }

    /// The bytes of a range, of which the answer may have begun already; what breaks is asked for again.
    async fn collect(
        &self,
        key: &str,
        from: u64,
        length: u64,
        etag: Option<&str>,
        mut begun: Option<Answer>,
    ) -> Result<Bytes, SourceError> {
        // Grown as it fills, it would need twice as much.
        let mut bytes = BytesMut::with_capacity(usize::try_from(length.min(PART)).unwrap_or(0));
        let left = |bytes: &BytesMut| length - bytes.len() as u64;
        for attempt in 0..TRIES {
            let mut answer = match begun.take() {
                Some(answer) => answer,
                None => {
                    let from = from + bytes.len() as u64;
                    self.ask(key, from, left(&bytes), etag).await?
                }
            };
            while left(&bytes) > 0
                && let Some(Ok(more)) = answer.told.body.next().await
            {
                let take = usize::try_from(left(&bytes)).unwrap_or(usize::MAX);
                bytes.extend_from_slice(&more[..more.len().min(take)]);
            }
            if left(&bytes) == 0 {
                return Ok(bytes.freeze());
            }
            drop(answer);
            self.shared.requests.count();
            tracing::warn!(key, "what an S3 server sent of an object broke off");
            tokio::time::sleep(PAUSE * 2u32.pow(attempt)).await;
        }
        Err(self.cut(key, "what the S3 server sends breaks off"))
    }

    pub(super) async fn ask(
        &self,
        key: &str,
        from: u64,
        length: u64,
        etag: Option<&str>,
    ) -> Result<Answer, SourceError> {
        let last = from + length.max(1) - 1;
        let request = self.client().await?.get_object();
        let request = request
            .bucket(&self.shared.name)
            .key(key)
            .range(format!("bytes={from}-{last}"))
            .set_if_match(etag.map(str::to_owned));
        let turn = self.shared.requests.turn().await?;
        match request.send().await {
            Ok(told) => Ok(Answer { told, _turn: turn }),
            Err(error) => {
                drop(turn);
                Err(self.failed("read", key, &error).await)
            }
        }
    }

    /// What the content must be for this ETag, if that can be told.
    async fn expected(
        &self,
        key: &str,
        etag: &str,
        total: u64,
    ) -> Result<Option<Expected>, SourceError> {
        let part = match Expected::is_of_parts(etag) {
            false => total,
            true => {
                let request = self.client().await?.head_object();
                let request = request.bucket(&self.shared.name).key(key).part_number(1);
                let _turn = self.shared.requests.turn().await?;
                let first = request.send().await.ok();
                // A server that does not know of parts answers for the whole.
                first
                    .and_then(|first| count(first.content_length()))
                    .filter(|part| *part < total)
                    .unwrap_or(u64::from(self.shared.access.chunk_mib) << 20)
            }
        };
        Ok(Expected::new(etag, part, total))
    }

    fn cut(&self, key: &str, message: &str) -> SourceError {
        SourceError::Remote {
            doing: "read",
            path: self.path(key),
            message: message.to_owned(),
            of_worker: false,
        }
    }
}

/// An answer whose body is still to come: the request is under way.
#[derive(Debug)]
pub(super) struct Answer {
    told: aws_sdk_s3::operation::get_object::GetObjectOutput,
    _turn: OwnedSemaphorePermit,
}
