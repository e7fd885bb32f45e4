//! The units of work, as they are queued. What each does stands in the module of its name.
//!
//! A payload is one byte, `FORMAT`, and the task in postcard's encoding: some 65 bytes a file, where JSON takes 270, and a
//! broker handles every byte of it several times. Nothing in it says what a field is called, so every field is always written (no
//! `skip_serializing_if`), and whoever changes these types raises `FORMAT`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::broker::{Leased, NewTask, TaskClass, TaskKind};
use crate::bytes_text;
use crate::plan::compare::Presence;
use crate::signature::Verdict;
use crate::source::{MountFacts, Stat};

/// The format of payloads. A task of another one is not guessed at.
pub(super) const FORMAT: u8 = 4;

/// Why a payload is not a task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// Another version wrote it.
    #[error("its format is {found}, and this version reads {FORMAT}")]
    Format {
        /// The first byte.
        found: u8,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// More follows the task.
    #[error("{0} bytes follow its end")]
    TooLong(usize),
    /// It is damaged, or it cannot be written (which no task has shown yet).
    #[error(transparent)]
    Encoding(#[from] postcard::Error),
}

/// A queued task. Paths are relative to the source root, bytes, empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Begins a pass: looks whether the source is there, then queues its root.
    Restart,
    /// Scans one directory and queues what is below it.
    SyncPath(PathTask),
    /// Applies some files of one directory.
    SyncFiles(FilesTask),
    /// Deletes what the source no longer has.
    Delete(DeleteTask),
    /// Runs the handler's pre_job. The broker queues it, without a payload.
    #[serde(skip)]
    PreJob,
    /// Runs the handler's post_job. The broker queues it, without a payload.
    #[serde(skip)]
    PostJob,
}

/// See [`Task::SyncPath`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathTask {
    /// The directory.
    #[serde(with = "bytes_text")]
    pub directory: Vec<u8>,
    /// How often it was tried before.
    pub attempts: u32,
    /// Whether the catalog was seen to hold its collection.
    pub exists: bool,
    /// An attempt whose end nobody knows may have made it.
    pub redelivered: bool,
    /// For the root, where it sat among the mounts when the pass began.
    pub mount: Option<MountFacts>,
    /// Its collection, where that is another than its path says.
    pub collection: Option<String>,
    /// What is remembered of it is not of what is in this collection: the directory was elsewhere, or gone, or its collection was.
    pub fresh: bool,
    /// Where an attempt that failed in the middle had come to; empty for the beginning.
    #[serde(with = "bytes_text")]
    pub cursor: Vec<u8>,
}

/// See [`Task::Delete`]. What is deleted was called for by one name that is gone from one directory of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTask {
    /// The directory whose entry is gone.
    #[serde(with = "bytes_text")]
    pub directory: Vec<u8>,
    /// What to delete.
    pub what: Deletion,
    /// How often it was tried before.
    pub attempts: u32,
    /// An attempt whose end nobody knows may have deleted some of it.
    pub redelivered: bool,
    /// The directory's collection, where that is another than its path says.
    pub of: Option<String>,
    /// An attempt that took too long may have deleted some of the objects.
    #[serde(default)]
    pub timed_out: bool,
}

impl DeleteTask {
    /// The first attempt at something in a directory that has this collection.
    pub(super) fn new(directory: &[u8], of: Option<String>, what: Deletion) -> Self {
        DeleteTask {
            directory: directory.to_vec(),
            what,
            attempts: 0,
            redelivered: false,
            of,
            timed_out: false,
        }
    }

    /// The same of these objects alone.
    pub(super) fn with_objects(&self, some: Vec<String>) -> Self {
        let mut task = self.clone();
        match &mut task.what {
            Deletion::Objects(objects) | Deletion::Within { objects, .. } => *objects = some,
            Deletion::Collection { .. } => {}
        }
        task
    }
}

/// What a [`DeleteTask`] deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deletion {
    /// Data objects of the directory's own collection, each gone by itself.
    Objects(Vec<String>),
    /// A collection with all that is in it. `top` is the one whose directory is gone; `collection` is it or lies below it.
    Collection {
        /// Logical path of the collection whose directory is gone.
        top: String,
        /// Logical path of what this task deletes.
        collection: String,
    },
    /// Some data objects of a collection that lies in a gone one.
    Within {
        /// Logical path of the collection whose directory is gone.
        top: String,
        /// Logical path of the collection that the objects are in.
        collection: String,
        /// Their names.
        objects: Vec<String>,
    },
}

/// See [`Task::SyncFiles`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesTask {
    /// The directory that the files are in.
    #[serde(with = "bytes_text")]
    pub directory: Vec<u8>,
    /// The files, in byte order of their names.
    pub files: Vec<FileItem>,
    /// The directory's collection, where that is another than its path says.
    pub collection: Option<String>,
}

impl FilesTask {
    /// The same of these files alone.
    pub(super) fn with_files(&self, files: Vec<FileItem>) -> Self {
        FilesTask {
            directory: self.directory.clone(),
            files,
            collection: self.collection.clone(),
        }
    }
}

/// One file of a chunk: how the scan found it. It is looked at again before anything is done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileItem {
    /// Its name in the directory.
    #[serde(with = "bytes_text")]
    pub name: Vec<u8>,
    /// What `lstat` said.
    pub stat: Stat,
    /// How that compares with what is remembered.
    pub verdict: Verdict,
    /// What is known of its name in the zone.
    pub presence: Presence,
    /// How often it was tried before.
    pub attempts: u32,
    /// An attempt whose end nobody knows may have left something in the zone.
    pub redelivered: bool,
    /// The scan found what the operation makes in the catalog, so no attempt made it.
    pub existed: bool,
}

impl Task {
    /// What was leased.
    ///
    /// # Errors
    /// The payload is not a task.
    pub fn of(leased: &Leased) -> Result<Self, TaskError> {
        match leased.kind {
            TaskKind::Work => Task::read(&leased.payload),
            TaskKind::PreJob => Ok(Task::PreJob),
            TaskKind::PostJob => Ok(Task::PostJob),
        }
    }

    fn read(payload: &[u8]) -> Result<Self, TaskError> {
        match payload {
            [] => Err(TaskError::Empty),
            [FORMAT, encoded @ ..] => match postcard::take_from_bytes(encoded)? {
                (task, []) => Ok(task),
                (_, rest) => Err(TaskError::TooLong(rest.len())),
            },
            [found, ..] => Err(TaskError::Format { found: *found }),
        }
    }

    /// The name in logs and in the failure ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Restart => "restart",
            Task::SyncPath(_) => "sync_path",
            Task::SyncFiles(_) => "sync_files",
            Task::Delete(_) => "delete",
            Task::PreJob => "pre_job",
            Task::PostJob => "post_job",
        }
    }

    /// The directory that it is about, relative to the source root.
    pub fn directory(&self) -> &[u8] {
        match self {
            Task::Restart | Task::PreJob | Task::PostJob => b"",
            Task::SyncPath(task) => &task.directory,
            Task::SyncFiles(task) => &task.directory,
            Task::Delete(task) => &task.directory,
        }
    }

    /// The task as the broker takes it.
    ///
    /// # Errors
    /// Never in practice: every field can be written, and nobody but the broker queues hooks.
    pub fn to_new_task(&self) -> Result<NewTask, TaskError> {
        let (class, depth) = match self {
            Task::Restart | Task::PreJob | Task::PostJob => (TaskClass::Start, 0),
            Task::SyncPath(task) => (TaskClass::Directory, depth(&task.directory)),
            Task::SyncFiles(task) => (TaskClass::Files, depth(&task.directory)),
            Task::Delete(task) => (TaskClass::Other, depth(&task.directory)),
        };
        Ok(NewTask {
            class,
            depth,
            payload: postcard::to_extend(self, vec![FORMAT])?,
            delay: None,
        })
    }
}

/// Elements of a relative path.
fn depth(directory: &[u8]) -> u32 {
    match directory {
        [] => 0,
        path => path.iter().filter(|&&b| b == b'/').count() as u32 + 1,
    }
}

/// `directory/name`, or the name alone in the root.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, b"/", name].concat()
}

/// A relative path as the source takes it.
pub(crate) fn relative_path(directory: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(directory))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::{EntryKind, Owner, Timestamp};

    fn time(seconds: i64) -> Timestamp {
        Timestamp {
            seconds,
            nanos: 999_999_999,
        }
    }

    fn files() -> Task {
        let file = |name: &[u8], size| FileItem {
            name: name.to_vec(),
            stat: Stat {
                kind: EntryKind::Regular,
                size,
                mtime: time(-1),
                ctime: time(1_700_000_000),
                mode: 0o100_644,
                dev: u64::MAX,
                version: 7,
                owner: Some(Owner { uid: 1000, gid: 7 }),
            },
            verdict: Verdict::MetadataChanged,
            presence: Presence::Exists,
            attempts: 3,
            redelivered: true,
            existed: false,
        };
        Task::SyncFiles(FilesTask {
            directory: b"a/\xff".to_vec(),
            files: vec![file(b"plain", 0), file(b"\xfe\n", u64::MAX)],
            collection: None,
        })
    }

    fn tasks() -> Vec<Task> {
        let deletions = [
            Deletion::Objects(vec!["x".into()]),
            Deletion::Collection {
                top: "/z/a".into(),
                collection: "/z/a/b".into(),
            },
            Deletion::Within {
                top: "/z/a".into(),
                collection: "/z/a".into(),
                objects: vec![],
            },
        ];
        let path = PathTask {
            directory: Vec::new(),
            attempts: 1,
            exists: true,
            redelivered: false,
            mount: Some(MountFacts {
                dev: 5,
                is_mount_point: true,
            }),
            collection: Some("/z/elsewhere".into()),
            fresh: false,
            cursor: b"\xff".to_vec(),
        };
        let mut tasks = vec![Task::Restart, Task::SyncPath(path), files()];
        let delete = |what| Task::Delete(DeleteTask::new(b"d", None, what));
        tasks.extend(deletions.map(delete));
        tasks
    }

    #[test]
    fn a_task_comes_back_as_it_was_queued() {
        for task in tasks() {
            let payload = task.to_new_task().unwrap().payload;
            assert_eq!(Task::read(&payload).unwrap(), task);
        }
    }

    #[test]
    fn what_is_no_task_of_this_format_is_refused() {
        let said = |payload: &[u8]| Task::read(payload).unwrap_err().to_string();
        for task in tasks() {
            let mut payload = task.to_new_task().unwrap().payload;
            for length in 0..payload.len() {
                said(&payload[..length]);
            }
            payload.push(0);
            assert_eq!(said(&payload), "1 bytes follow its end");
        }
        assert_eq!(
            said(b"{\"sync_path\":{}}"),
            format!("its format is 123, and this version reads {FORMAT}")
        );
        // A list that says that it is longer than memory.
        said(&[
            FORMAT, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ]);
    }

    #[test]
    fn a_file_takes_few_bytes() {
        let one = files().to_new_task().unwrap().payload;
        let Task::SyncFiles(mut task) = files() else {
            return;
        };
        task.files.truncate(1);
        let less = Task::SyncFiles(task).to_new_task().unwrap().payload;
        assert!(one.len() - less.len() < 64, "{}", one.len());
    }
}
