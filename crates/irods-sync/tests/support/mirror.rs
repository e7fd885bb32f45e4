//! Whether a collection is its source: the same names, each file one good replica of the right size, time, place and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use irods_client::collection::{Replica, ReplicaStatus};

use super::Site;

/// Where sources go.
pub const TARGET: &str = "/tempZone/home/rods/t";

/// Everything below a directory by relative path, as `lstat` has it. The names must be UTF-8.
pub fn tree(root: &Path) -> BTreeMap<String, Metadata> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), meta);
            if found[name].is_dir() {
                left.push(path);
            }
        }
    }
    found
}

impl Site {
    /// Everything below [`TARGET`]; see [`catalog_of`](Self::catalog_of).
    pub fn catalog(&self) -> BTreeMap<String, Vec<Replica>> {
        self.catalog_of(TARGET)
    }

    /// Everything below a collection by relative path; collections have no replicas. The zone must be running.
    pub fn catalog_of(&self, top: &str) -> BTreeMap<String, Vec<Replica>> {
        self.ask(async |zone| {
            let mut found = BTreeMap::new();
            let mut left = vec![String::new()];
            while let Some(relative) = left.pop() {
                let collection = format!("{top}{relative}");
                let name = |name: &dyn std::fmt::Display| format!("{relative}/{name}");
                for (object, replicas) in zone.list_data_objects(&collection).await.unwrap() {
                    found.insert(name(&object)[1..].to_owned(), replicas);
                }
                for sub in zone.list_subcollections(&collection).await.unwrap() {
                    found.insert(name(&sub)[1..].to_owned(), Vec::new());
                    left.push(name(&sub));
                }
            }
            found
        })
    }

    /// The source is registered where it is, exactly.
    #[track_caller]
    pub fn assert_registered(&self) {
        self.assert_registered_in(TARGET);
    }

    #[track_caller]
    pub fn assert_registered_in(&self, top: &str) {
        let src = self.path("src").canonicalize().unwrap();
        self.assert_mirror(top, |name, meta, replica| {
            assert_eq!(replica.path, src.join(name).as_os_str().as_bytes());
            assert_eq!(replica.mtime, meta.mtime(), "{name}");
        });
    }

    /// The source is uploaded, byte for byte, and the vault holds no file besides.
    #[track_caller]
    pub fn assert_uploaded(&self) {
        let mut files = BTreeSet::new();
        self.assert_mirror(TARGET, |name, _, replica| {
            let file = PathBuf::from(std::ffi::OsStr::from_bytes(&replica.path));
            assert!(file.starts_with(self.path("zone")), "{name} is in {file:?}");
            let there = std::fs::read(&file).unwrap();
            assert!(
                there == std::fs::read(self.path("src").join(name)).unwrap(),
                "{name} has other bytes"
            );
            files.insert(file);
        });
        let vault = self.path("zone/Vault");
        for (name, meta) in tree(&vault) {
            assert!(
                meta.is_dir() || files.contains(&vault.join(&name)),
                "{name} lies in the vault, and in no catalog"
            );
        }
    }

    #[track_caller]
    fn assert_mirror(&self, top: &str, mut file: impl FnMut(&str, &Metadata, &Replica)) {
        let (source, catalog) = (tree(&self.path("src")), self.catalog_of(top));
        let missing: Vec<_> = source
            .keys()
            .filter(|n| !catalog.contains_key(*n))
            .collect();
        let surplus: Vec<_> = catalog
            .keys()
            .filter(|n| !source.contains_key(*n))
            .collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "missing: {missing:?}; too many: {surplus:?}"
        );
        for (name, meta) in &source {
            match (catalog[name].as_slice(), meta.is_dir()) {
                ([], true) => {}
                ([replica], false) => {
                    assert_eq!(replica.status, ReplicaStatus::Good, "{name}: {replica:?}");
                    assert_eq!(replica.hierarchy, "demoResc", "{name}");
                    assert_eq!(replica.size, meta.size(), "{name}");
                    file(name, meta, replica);
                }
                (other, directory) => panic!("{name}: {other:?}, a directory: {directory}"),
            }
        }
    }
}
