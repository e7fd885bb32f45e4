//! What a job is: source, target, zone and options. It travels with every task, so any worker can do its part.
//!
//! Credentials are not part of it: each worker has its own.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::Queues;
use crate::core::choice::{Chooses, Delay, Retries, Targets};
use crate::core::python::Handler;
use crate::core::rules::Rules;
use crate::plan::{DeleteMode, Operation};
use crate::signature::CacheKey;
use crate::source::{self, FileSystem, Filter, FilterError, Matching, Source, SourceError, s3};
use crate::{bytes_text, naming};

/// A job as every worker sees it. Unknown fields are refused: a worker that is too old for an option must not guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The source directory, absolute, links resolved; of a bucket `/BUCKET/PREFIX`.
    #[serde(with = "bytes_text")]
    source: Vec<u8>,
    /// The collection that mirrors it.
    pub target: String,
    /// The zone that the target is in; a worker that is connected to another one does not take the job.
    pub zone: String,
    /// As whom entries are applied, `name#zone`.
    pub user: String,
    /// How.
    pub options: JobOptions,
    /// The zone had no such target when the job was checked. Not a part of what the job is.
    #[serde(skip)]
    pub(crate) target_is_missing: bool,
}

/// What can be chosen for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOptions {
    /// What is done with a new or changed file.
    pub operation: Operation,
    /// The resource to register on or upload to; none: the zone chooses.
    pub resource: Option<String>,
    /// Files in one task, at least 1.
    pub files_per_task: usize,
    /// Treat everything as changed.
    pub ignore_cache: bool,
    /// Take names for free until the zone objects.
    pub initial_ingest: bool,
    /// Write the rows of new objects into the catalog, with few of the zone's checks ([`irods_client::register`]).
    #[serde(default, skip_serializing_if = "is_default")]
    pub direct_register: bool,
    /// Decide from the catalog, without remembered signatures.
    pub compare_catalog: bool,
    /// What is done about checksums.
    pub checksum: ChecksumPolicy,
    /// Comma-separated words of [`crate::source::EntryKind::word`] whose entries are left out.
    pub exclude_file_type: String,
    /// Regular expressions of files that are left out, matched against the absolute path.
    pub exclude_file_name: Vec<String>,
    /// The same for directories, with all that is below them.
    pub exclude_directory_name: Vec<String>,
    /// Where in the path these expressions must match.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exclude_match: Matching,
    /// Links of the source are what they lead to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub follow_symlinks: bool,
    /// What is done with a name of the catalog that is gone from the source.
    pub delete_mode: DeleteMode,
    /// A job that wants to delete more than so many entries is ended.
    pub max_delete: Option<u64>,
    /// How often a failed file is tried again.
    pub max_retries: u32,
    /// Seconds before the first of these attempts; each further one waits twice as long.
    pub delay: u64,
    /// Seconds that one file may take.
    pub timeout: u64,
    /// An event handler in Python.
    pub handler: Option<Handler>,
    /// The source is a bucket of this server; not written down where it is a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<s3::Access>,
    /// What is chosen for single entries.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules: Option<Rules>,
    /// Connections that the upload of one large file may take, as far as the worker has some to spare; at least 1, which is not
    /// written down: so jobs of those who knew no choice read as before.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub transfer_streams: usize,
    /// Whether the stages of its work are measured ([`crate::profile`]). Not a part of what the job is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: bool,
    /// In which queues its tasks are. Like the next one kept by the broker, and not a part of what the job is: another value goes
    /// on with the same job.
    #[serde(skip)]
    pub queues: Queues,
    /// The most chunks of files in hand at the same time, over all workers.
    #[serde(skip)]
    pub max_in_flight: Option<u32>,
}

/// What is done about the checksums of what is registered or uploaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumPolicy {
    /// Nothing.
    #[default]
    None,
    /// The zone computes one and keeps it.
    Register,
    /// So it does, and that of an upload is compared with one computed here from the bytes that are sent, while they are; if they
    /// differ, the upload has failed. Of what is registered no byte is read here, and of what is appended only the new end, so
    /// there is nothing to compare.
    Verify,
}

impl ChecksumPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Register, Self::Verify];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Register => "register",
            Self::Verify => "verify",
        }
    }

    /// Whether the zone is to have a checksum of each file.
    pub fn keeps(self) -> bool {
        self != Self::None
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(streams: &usize) -> bool {
    *streams == 1
}

impl Default for JobOptions {
    fn default() -> Self {
        JobOptions {
            operation: Operation::default(),
            resource: None,
            files_per_task: 50,
            ignore_cache: false,
            initial_ingest: false,
            direct_register: false,
            compare_catalog: false,
            checksum: ChecksumPolicy::None,
            exclude_file_type: String::new(),
            exclude_file_name: Vec::new(),
            exclude_directory_name: Vec::new(),
            exclude_match: Matching::default(),
            follow_symlinks: false,
            delete_mode: DeleteMode::default(),
            max_delete: None,
            max_retries: 0,
            delay: 0,
            timeout: 3600,
            handler: None,
            bucket: None,
            rules: None,
            transfer_streams: one(),
            profile: false,
            queues: Queues::default(),
            max_in_flight: None,
        }
    }
}

impl JobOptions {
    /// The exclusions, ready for use.
    ///
    /// # Errors
    /// An unknown word, or an expression that is none.
    pub fn filter(&self) -> Result<Filter, FilterError> {
        let filter = Filter::new(
            &self.exclude_file_type,
            &self.exclude_file_name,
            &self.exclude_directory_name,
        )?;
        Ok(filter.matching(self.exclude_match))
    }

    /// Whether anything may be deleted.
    pub fn deletes(&self) -> bool {
        self.delete_mode != DeleteMode::DoNotDelete
    }

    /// How failed entries are tried again.
    pub fn retries(&self) -> Retries {
        Retries {
            max: self.max_retries,
            delay: Delay::Doubling(self.delay),
        }
    }

    /// The longest that one file may take.
    pub fn file_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }
}

impl JobSpec {
    /// A job of `source`, which must be absolute and free of links.
    pub fn new(
        source: &Path,
        target: String,
        zone: String,
        user: String,
        options: JobOptions,
    ) -> Self {
        JobSpec {
            source: source.as_os_str().as_bytes().to_vec(),
            target,
            zone,
            user,
            options,
            target_is_missing: false,
        }
    }

    /// The source directory.
    pub fn source(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.source))
    }

    /// The source directory as bytes.
    pub fn source_bytes(&self) -> &[u8] {
        &self.source
    }

    /// The source, which nothing has looked at: what is not there is found by whatever is done next.
    ///
    /// # Errors
    /// The path is none of a bucket.
    pub(crate) fn open_source(
        &self,
        requests: Arc<s3::Requests>,
    ) -> Result<Arc<dyn Source>, SourceError> {
        let options = &self.options;
        Ok(match &options.bucket {
            None => Arc::new(FileSystem::at(self.source()).following(options.follow_symlinks)),
            Some(access) => {
                let verify = options.checksum == ChecksumPolicy::Verify;
                let access = access.clone();
                Arc::new(s3::Bucket::at(&self.source(), access, verify, requests)?)
            }
        })
    }

    /// Whether a physical path is, by its text, one of the source: what is registered there is the source's own file, and an upload
    /// over it would change what is being brought in.
    pub(crate) fn has_as_own(&self, physical: &str) -> bool {
        let root = self.source.strip_suffix(b"/").unwrap_or(&self.source);
        let below = physical.as_bytes().strip_prefix(root);
        below.is_some_and(|below| below.starts_with(b"/"))
    }

    /// As [`source::cache_root`].
    pub(crate) fn cache_root(&self) -> Cow<'_, [u8]> {
        source::cache_root(&self.source, self.options.bucket.as_ref())
    }

    /// Whether the object of a file at this absolute path gets an AVU that says of which file it is, where this is what chooses.
    pub(crate) fn claims(&self, chooses: Option<Chooses>, path: &[u8], target: &str) -> bool {
        chooses.is_some_and(|chooses| {
            let anywhere = chooses.targets == Targets::Anywhere;
            anywhere || chooses.claims && !self.is_at_home(path, target)
        })
    }

    /// Whether a logical path is the one that belongs to an absolute path of the source.
    pub(crate) fn is_at_home(&self, path: &[u8], target: &str) -> bool {
        let below = path.strip_prefix(self.source.as_slice()).unwrap_or(path);
        self.logical(below.strip_prefix(b"/").unwrap_or(below)) == target
    }

    /// Key of a directory's record of signatures, where this is what chooses for single entries.
    pub(crate) fn cache_key(&self, directory: &[u8], chooses: Option<Chooses>) -> Vec<u8> {
        CacheKey {
            root: &self.cache_root(),
            directory,
            target: &self.target,
            operation: self.options.operation,
            resource: self.options.resource.as_deref(),
            user: &self.user,
            handler: chooses.map(|chooses| chooses.digest),
        }
        .to_bytes()
    }

    /// Logical path of what lies at a relative path.
    pub(crate) fn logical(&self, relative: &[u8]) -> String {
        naming::logical_path(&self.target, &self.source, relative)
    }

    /// Absolute path of what lies at a relative one, as bytes.
    pub(crate) fn absolute(&self, relative: &[u8]) -> Vec<u8> {
        match relative {
            [] => self.source.clone(),
            // A root `/` must not give `//name`.
            relative => {
                let root = self.source.as_slice();
                [root.strip_suffix(b"/").unwrap_or(root), b"/", relative].concat()
            }
        }
    }
}
