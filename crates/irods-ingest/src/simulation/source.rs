//! A source in memory, whose times are those of the virtual clock.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::host::World;
use crate::source::{
    Entry, EntryKind, Links, Listing, Look, MountFacts, Source, SourceError, Stat, Timestamp,
};

/// Where its root is said to be.
pub(super) const ROOT: &str = "/source";

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) stat: Stat,
    pub(super) content: Vec<u8>,
}

impl Node {
    pub(super) fn is_directory(&self) -> bool {
        self.stat.kind == EntryKind::Directory
    }
}

/// All of it by relative path; the root has the empty one.
#[derive(Debug)]
pub(super) struct Tree {
    world: Arc<World>,
    nodes: Mutex<BTreeMap<Vec<u8>, Node>>,
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |at| &path[..at])
}

fn vanished(path: impl AsRef<Path>) -> SourceError {
    SourceError::Vanished {
        path: path.as_ref().to_owned(),
    }
}

impl Tree {
    pub(super) fn new(world: Arc<World>) -> Arc<Self> {
        let tree = Self {
            world,
            nodes: Mutex::default(),
        };
        tree.set("", None);
        Arc::new(tree)
    }

    /// Makes or changes a file, or makes a directory, now.
    pub(super) fn set(&self, path: &str, content: Option<Vec<u8>>) {
        let mut now = self.world.now();
        // Never whole seconds, or times would count as coarse.
        now.nanos |= 1;
        self.set_at(path, content, now);
    }

    /// Makes a file what it was.
    pub(super) fn put(&self, path: &str, node: Node) {
        self.nodes
            .lock()
            .unwrap()
            .insert(path.as_bytes().to_vec(), node);
    }

    /// The same at another time.
    pub(super) fn set_at(&self, path: &str, content: Option<Vec<u8>>, time: Timestamp) {
        let mut nodes = self.nodes.lock().unwrap();
        let stat = Stat {
            kind: match content {
                Some(_) => EntryKind::Regular,
                None => EntryKind::Directory,
            },
            size: content.as_ref().map_or(0, |content| content.len() as u64),
            mtime: time,
            ctime: time,
            mode: 0o644,
            dev: 1,
            version: 0,
            owner: None,
        };
        let content = content.unwrap_or_default();
        let is_new = nodes
            .insert(path.as_bytes().to_vec(), Node { stat, content })
            .is_none();
        if is_new && !path.is_empty() {
            touch(&mut nodes, parent(path.as_bytes()), time);
        }
    }

    /// Removes a file, or a directory with all that is in it.
    pub(super) fn remove(&self, path: &str) {
        let mut now = self.world.now();
        now.nanos |= 1;
        let mut nodes = self.nodes.lock().unwrap();
        let below = format!("{path}/");
        nodes.retain(|name, _| name != path.as_bytes() && !name.starts_with(below.as_bytes()));
        touch(&mut nodes, parent(path.as_bytes()), now);
    }

    /// Everything but the root.
    pub(super) fn all(&self) -> BTreeMap<String, Node> {
        let nodes = self.nodes.lock().unwrap();
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        nodes
            .iter()
            .filter(|(path, _)| !path.is_empty())
            .map(|(path, node)| (name(path), node.clone()))
            .collect()
    }

    fn node(&self, path: &[u8]) -> Option<Node> {
        self.nodes.lock().unwrap().get(path).cloned()
    }

    fn directory(&self, directory: &Path) -> Result<Node, SourceError> {
        let path = directory.as_os_str().as_bytes();
        match self.node(path) {
            Some(node) if node.is_directory() => Ok(node),
            Some(_) => Err(SourceError::NotADirectory {
                path: directory.to_owned(),
            }),
            None => Err(vanished(directory)),
        }
    }

    fn entry(&self, directory: &Path, name: &[u8]) -> Result<Node, SourceError> {
        let path = super::join(directory.as_os_str().as_bytes(), name);
        self.node(&path)
            .ok_or_else(|| vanished(PathBuf::from(String::from_utf8_lossy(&path).into_owned())))
    }
}

fn touch(nodes: &mut BTreeMap<Vec<u8>, Node>, path: &[u8], time: Timestamp) {
    if let Some(node) = nodes.get_mut(path) {
        (node.stat.mtime, node.stat.ctime) = (time, time);
    }
}

impl Source for Tree {
    fn mount_facts(&self, directory: &Path) -> Result<MountFacts, SourceError> {
        self.directory(directory)?;
        Ok(MountFacts {
            dev: 1,
            is_mount_point: false,
        })
    }

    fn list(&self, directory: &Path, _: Links) -> Result<Listing, SourceError> {
        let own = self.directory(directory)?;
        let path = directory.as_os_str().as_bytes();
        let nodes = self.nodes.lock().unwrap();
        let mut entries: Vec<Entry> = nodes
            .iter()
            .filter(|(name, _)| !name.is_empty() && parent(name) == path)
            .map(|(name, node)| Entry {
                name: name[path.len() + usize::from(!path.is_empty())..].into(),
                stat: node.stat,
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Listing {
            entries,
            vanished: Vec::new(),
            errors: Vec::new(),
            directory: own.stat,
            seen_at: self.world.now(),
        })
    }

    fn stat(
        &self,
        directory: &Path,
        name: &[u8],
        _: Links,
    ) -> Result<Result<Stat, SourceError>, SourceError> {
        self.directory(directory)?;
        Ok(self.entry(directory, name).map(|node| node.stat))
    }

    fn look(&self, directory: &Path, name: &[u8], _: Links) -> Result<Look, SourceError> {
        self.directory(directory)?;
        Ok(Look {
            stat: self.entry(directory, name)?.stat,
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
        let node = self.entry(directory, name)?;
        let mut content = Cursor::new(node.content);
        content.set_position(from);
        Ok((Box::new(content), node.stat))
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn blocks(&self) -> bool {
        false
    }
}
