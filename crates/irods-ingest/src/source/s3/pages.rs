//! A listing with the delimiter `/`, page by page, and where to go on after one.
//!
//! Within one run the server's continuation token leads from page to page. What outlives a worker is the last key instead: a token
//! is the server's own, and nothing promises that it is good for as long as a task may wait.
//!
//! Every page must begin behind the beginning of the one before. A server that goes round in circles, or that lists in no order, so
//! that nobody could go on after a key, is an error; nothing of its listing counts as complete. Not looked at is the order within pages:
//! servers that keep keys as files have `a/` before `a-b`.
//!
//! A key that is also the beginning of others gives way to them, and these may be pages further on. Such an object is held back, with
//! the mark, until the keys have passed the place where they would be.

use std::path::Path;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::types::EncodingType;
use serde::{Deserialize, Serialize};

use super::keys::{Collected, Object, url_decoded};
use super::{Bucket, as_prefix, count};
use crate::source::{Listing, SourceError, Stat, Timestamp};

/// Keys of a page, as many as servers give.
const PAGE: usize = 1000;

/// Pages without a key that a server may give one after the other.
const EMPTY_PAGES: u32 = 100;

/// What a listing goes on after: the end of a page. Names are keys without the directory's; those that go on have their slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The least name of the page.
    first: String,
    /// Its greatest.
    after: String,
    /// Objects of this page or earlier ones that nobody was told of yet.
    held: Vec<(String, Stat)>,
    #[serde(skip)]
    token: Option<String>,
}

impl Mark {
    /// Whether an entry was told of by this page or an earlier one. `place` is its [place](crate::source::Source::place).
    pub fn has_passed(&self, name: &[u8], place: &[u8]) -> bool {
        place <= self.after.as_bytes()
            && !(place == name && self.held.iter().any(|(held, _)| held.as_bytes() == name))
    }

    /// Whether this is further on.
    pub fn is_behind(&self, other: &Mark) -> bool {
        self.after > other.after
    }
}

/// Where a page begins.
enum From<'a> {
    Start,
    Token(&'a str),
    Key(String),
}

impl Bucket {
    /// All pages.
    pub(super) async fn list_all(&self, directory: &Path) -> Result<Listing, SourceError> {
        let (mut listing, mut next) = self.list_page(directory, None).await?;
        while let Some(mark) = next {
            let (page, after) = self.list_page(directory, Some(&mark)).await?;
            listing.entries.extend(page.entries);
            listing.errors.extend(page.errors);
            next = after;
        }
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
        listing.errors.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(listing)
    }

    /// The page after a mark, and the mark after that one unless it was the last.
    pub(super) async fn list_page(
        &self,
        directory: &Path,
        mark: Option<&Mark>,
    ) -> Result<(Listing, Option<Mark>), SourceError> {
        let key = self.key(directory, b"")?;
        let place = self.path(&key);
        let prefix = as_prefix(key);
        let nonsense = |why: &'static str| SourceError::Remote {
            doing: "list",
            path: place.clone(),
            message: format!("the S3 server's answer is nonsense: {why}"),
            of_worker: false,
        };
        let mut collected = Collected::new(place.clone(), Timestamp::now());
        let mut token = mark.and_then(|mark| mark.token.clone());
        let mut empty = 0;
        let more = loop {
            let from = match (&token, mark) {
                (Some(token), _) => From::Token(token),
                (None, Some(mark)) => From::Key(format!("{prefix}{}", mark.after)),
                (None, None) => From::Start,
            };
            let page = self.ask_page(&prefix, PAGE, from).await?;
            // Some servers tell once more of the keys that begin with the one that was asked for.
            let known = mark.filter(|_| token.is_none());
            let known = known.map(|mark| mark.after.as_str());
            take(&page, &prefix, known, &mut collected).map_err(nonsense)?;
            let next = match (page.is_truncated(), page.next_continuation_token()) {
                (Some(true), None) => {
                    return Err(nonsense("it goes on, without saying where"));
                }
                (Some(true), Some(next)) if token.as_deref() == Some(next) => {
                    return Err(nonsense("it goes on where it was before"));
                }
                (Some(true), Some(next)) => Some(next.to_owned()),
                (Some(false), _) => None,
                (None, _) => return Err(nonsense("it does not say whether it goes on")),
            };
            token = next;
            if token.is_none() || collected.range.is_some() {
                break token;
            }
            empty += 1;
            if empty > EMPTY_PAGES {
                return Err(nonsense("it goes on and on, and there is nothing in it"));
            }
        };
        if let (Some((first, _)), Some(before)) = (&collected.range, mark)
            && *first <= before.first
        {
            return Err(nonsense("it is in no order, or begins again"));
        }
        if mark.is_none() && collected.range.is_none() {
            match directory.as_os_str().is_empty() {
                false => return Err(SourceError::Vanished { path: place }),
                true if !self.shared.prefix.is_empty() => {
                    return Err(SourceError::RootMissing { path: place });
                }
                true => {}
            }
        }
        let held = mark.map(|mark| mark.held.clone()).unwrap_or_default();
        let range = collected.range.clone();
        let (listing, held) = collected.finish(held, more.is_some());
        let next = match (more, range) {
            (Some(token), Some((first, after))) => Some(Mark {
                first,
                after,
                held,
                token: Some(token),
            }),
            _ => None,
        };
        Ok((listing, next))
    }

    /// One page of what lies directly below a key prefix, which ends with a slash or is empty.
    async fn ask_page(
        &self,
        prefix: &str,
        most: usize,
        from: From<'_>,
    ) -> Result<ListObjectsV2Output, SourceError> {
        let request = self.page_request(prefix, most).await?;
        let request = match from {
            From::Start => request,
            From::Token(token) => request.continuation_token(token),
            From::Key(key) => request.start_after(key),
        };
        let turn = self.shared.requests.turn().await?;
        let answer = request.send().await;
        drop(turn);
        match answer {
            Ok(page) => Ok(page),
            Err(error) => Err(self.failed("list", prefix, &error).await),
        }
    }

    pub(super) async fn page_request(
        &self,
        prefix: &str,
        most: usize,
    ) -> Result<ListObjectsV2FluentBuilder, SourceError> {
        let request = self.client().await?.list_objects_v2();
        Ok(request
            .bucket(&self.shared.name)
            .prefix(prefix)
            .delimiter("/")
            .max_keys(i32::try_from(most).unwrap_or(i32::MAX))
            .encoding_type(EncodingType::Url))
    }

    /// Whether a key begins with this.
    pub(super) async fn is_prefix(&self, prefix: &str) -> Result<bool, SourceError> {
        let page = self.ask_page(prefix, 1, From::Start).await?;
        Ok(!page.contents().is_empty() || !page.common_prefixes().is_empty())
    }
}

/// Adds what a page holds, but for `known`.
fn take(
    page: &ListObjectsV2Output,
    prefix: &str,
    known: Option<&str>,
    collected: &mut Collected,
) -> Result<(), &'static str> {
    let keys = page.contents().len() + page.common_prefixes().len();
    if keys > PAGE {
        return Err("it is longer than was asked for");
    }
    // An answer that broke off passes for a whole one where its length was not told.
    let told = page
        .key_count()
        .and_then(|count| usize::try_from(count).ok());
    if told.is_some_and(|told| told > keys) {
        return Err("it has fewer keys than it says");
    }
    let encoded = page.encoding_type() == Some(&EncodingType::Url);
    let name = |text: Option<&str>| {
        let text = text.ok_or("a key is missing")?;
        let key = match encoded {
            true => url_decoded(text).ok_or("a key is not encoded")?,
            false => text.to_owned(),
        };
        match key.strip_prefix(prefix) {
            Some(name) => Ok(name.to_owned()),
            None => Err("a key does not begin with the prefix"),
        }
    };
    for object in page.contents() {
        let facts = Object {
            size: count(object.size()).unwrap_or(0),
            modified: object.last_modified().map_or(0, |time| time.secs()),
            etag: object.e_tag().map(str::to_owned),
        };
        let name = name(object.key())?;
        if Some(name.as_str()) != known {
            collected.object(&name, &facts);
        }
    }
    for below in page.common_prefixes() {
        let name = name(below.prefix())?;
        if Some(name.as_str()) != known {
            collected.prefix(&name);
        }
    }
    Ok(())
}
