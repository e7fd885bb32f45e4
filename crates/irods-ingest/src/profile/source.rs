//! A source whose calls are measured.

use std::borrow::Cow;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::{About, Stage, Stages};
use crate::source::{
    Entry, Links, Listing, Look, Looker, MountFacts, Source, SourceError, Stat, Timestamp, s3,
};

#[derive(Debug)]
pub(super) struct Timed {
    source: Arc<dyn Source>,
    stages: Stages,
    root: Vec<u8>,
}

impl Timed {
    /// `root` is the absolute path of the source.
    pub(super) fn new(source: Arc<dyn Source>, stages: Stages, root: Vec<u8>) -> Self {
        Timed {
            source,
            stages,
            root,
        }
    }

    fn call<T>(
        &self,
        name: &str,
        (directory, entry): (&Path, &[u8]),
        call: impl FnOnce(&dyn Source) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let about = About::entry(&self.root, directory.as_os_str().as_bytes(), entry);
        let measured = self.stages.begin(Stage::Scan, name, about);
        measured.end(call(self.source.as_ref()))
    }
}

impl Source for Timed {
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError> {
        self.call("mount", (directory, b""), |source| {
            source.mount_facts(directory)
        })
    }

    fn list(&self, directory: &Path, links: Links) -> Result<Listing, SourceError> {
        self.call("list", (directory, b""), |source| {
            source.list(directory, links)
        })
    }

    fn page(
        &self,
        directory: &Path,
        links: Links,
        after: Option<&s3::Mark>,
    ) -> Result<(Listing, Option<s3::Mark>), SourceError> {
        self.call("list", (directory, b""), |source| {
            source.page(directory, links, after)
        })
    }

    fn place<'a>(&self, entry: &'a Entry) -> Cow<'a, [u8]> {
        self.source.place(entry)
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        links: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError> {
        self.call("stat", (directory, name), |source| {
            source.stat(directory, name, links)
        })
    }

    fn look(&self, directory: &Path, name: &[u8], links: Links) -> Result<Look, SourceError> {
        self.call("look", (directory, name), |source| {
            source.look(directory, name, links)
        })
    }

    fn looker<'a>(&'a self, directory: &'a Path) -> Looker<'a> {
        let look = self.source.looker(directory);
        Box::new(move |name, links| self.call("look", (directory, name), |_| look(name, links)))
    }

    fn open(
        &self,
        directory: &Path,
        name: &[u8],
        from: u64,
    ) -> Result<(Box<dyn Read + Send>, Stat), SourceError> {
        self.call("open", (directory, name), |source| {
            source.open(directory, name, from)
        })
    }

    fn is_same_file(&self, directory: &Path, name: &[u8], path: &Path) -> bool {
        self.source.is_same_file(directory, name, path)
    }

    fn now(&self) -> Timestamp {
        self.source.now()
    }

    fn is_versioned(&self) -> bool {
        self.source.is_versioned()
    }

    fn take_repeated(&self) -> u64 {
        self.source.take_repeated()
    }

    fn blocks(&self) -> bool {
        self.source.blocks()
    }
}
