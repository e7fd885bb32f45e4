//! Whether the zone holds what the source holds, and nothing besides: both ways, every entry, from the catalog alone or with
//! every byte.
//!
//! What an operation promises is what is compared. A registered file has a good replica under its physical path, with its size
//! and modification time. An uploaded one has a good replica of its size that is not older than the file; one that PUT left
//! alone only has to be there. Copies that are stale beside the good one are the zone's own affair.
//!
//! What is left out by an exclusion is neither missing nor surplus. Nor is surplus what other files have claimed, with the collections
//! that it is in.

use std::fmt;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use irods_client::collection::{Replica, ReplicaStatus};
use irods_client::transfer::OpenHow;
use sha2::{Digest, Sha256};

use super::{Holding, Place, Survey, SurveyError};
use crate::core::choice::EntryOptions;
use crate::plan::{CLOCK_MARGIN_SECONDS, Operation};
use crate::source::{Entry, EntryKind, SourceError, Stat};
use crate::sync_task::{join, relative_path};

/// Bytes that are compared at a time.
const BLOCK: usize = 4 * 1024 * 1024;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Absolute path in the source, whether it is there or not.
    pub path: Vec<u8>,
    /// Logical path.
    pub target: String,
    /// How they differ.
    pub what: What,
}

/// How source and zone differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The zone has nothing under this name.
    Missing,
    /// The source has nothing under this name. Of a collection, its content is not listed.
    Surplus,
    /// A directory, and the zone has a data object.
    NotACollection,
    /// No directory, and the zone has a collection.
    NotADataObject,
    /// Registered, but under this physical path.
    Elsewhere(String),
    /// The replica that should be good is not.
    NotGood(ReplicaStatus),
    /// Sizes in bytes.
    Size {
        /// The file's.
        source: u64,
        /// The replica's.
        zone: u64,
    },
    /// Modification times in seconds since 1970. Of an upload: the file is newer than the object.
    Time {
        /// The file's.
        source: i64,
        /// The replica's.
        zone: i64,
    },
    /// The first of the differing bytes, counted from 0.
    Bytes {
        /// Where.
        at: u64,
    },
    /// The zone's stored checksum is not that of the bytes that it gives.
    Checksum,
    /// It could not be looked at.
    Unknown(String),
}

impl What {
    /// The word that stands for it in JSON and in front of each line.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Surplus => "surplus",
            Self::NotACollection | Self::NotADataObject => "kind",
            Self::Elsewhere(_) => "elsewhere",
            Self::NotGood(_) => "status",
            Self::Size { .. } => "size",
            Self::Time { .. } => "time",
            Self::Bytes { .. } => "bytes",
            Self::Checksum => "checksum",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not in the zone"),
            Self::Surplus => f.write_str("not in the source"),
            Self::NotACollection => f.write_str("a directory here, a data object there"),
            Self::NotADataObject => f.write_str("no directory here, a collection there"),
            Self::Elsewhere(path) => write!(f, "registered as {path}"),
            Self::NotGood(status) => write!(f, "its replica is {}", status_word(*status)),
            Self::Size { source, zone } => write!(f, "{source} bytes here, {zone} there"),
            Self::Time { source, zone } => {
                write!(f, "modified at {source} here, at {zone} there")
            }
            Self::Bytes { at } => write!(f, "other bytes, from {at} on"),
            Self::Checksum => f.write_str("the stored checksum is not that of its bytes"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

fn status_word(status: ReplicaStatus) -> &'static str {
    match status {
        ReplicaStatus::Good => "good",
        ReplicaStatus::Stale => "stale",
        ReplicaStatus::Intermediate => "intermediate",
        ReplicaStatus::ReadLocked | ReplicaStatus::WriteLocked => "locked",
        ReplicaStatus::Other(_) => "of an unknown status",
    }
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Entries that were left out by an exclusion.
    pub excluded: u64,
    /// Entries that were left out by choice of a handler or a rule.
    pub left_out: u64,
    /// Bytes that were compared one by one.
    pub bytes: u64,
    /// Differences.
    pub differences: u64,
}

impl Survey {
    /// Compares everything; each difference goes to `report` as soon as its directory has been looked at, in no order. With
    /// `bytes`, each file that is the same by the catalog is read from both sides.
    ///
    /// # Errors
    /// The source root or the zone cannot be used, so there is no verdict.
    pub async fn verify(
        &self,
        bytes: bool,
        mut report: impl FnMut(Difference),
    ) -> Result<Verified, SurveyError> {
        let operation = self.spec.options.operation;
        if operation == Operation::NoOp && self.handler.chooses().is_none() {
            return Err(SurveyError::NothingToCompare(operation));
        }
        let mut all = Verified::default();
        let visit = |survey: Survey, place| async move { survey.compare(place, bytes).await };
        self.walk(visit, |(part, differences): (Verified, Vec<Difference>)| {
            all.files += part.files;
            all.directories += part.directories;
            all.excluded += part.excluded;
            all.left_out += part.left_out;
            all.bytes += part.bytes;
            all.differences += differences.len() as u64;
            differences.into_iter().for_each(&mut report);
        })
        .await?;
        Ok(all)
    }

    /// Compares one directory with its collection.
    async fn compare(
        self,
        place: Place,
        bytes: bool,
    ) -> Result<(Vec<Place>, (Verified, Vec<Difference>)), SurveyError> {
        let mut part = Verified::default();
        let mut found = Vec::new();
        let here = self.here(&place).await;
        if here.skip.is_some() {
            part.left_out += 1;
            return Ok((Vec::new(), (part, found)));
        }
        if let Some(wrong) = &here.wrong {
            let what = What::Unknown(wrong.to_string());
            found.push(self.difference(&place.directory, &here.target, what));
            return Ok((Vec::new(), (part, found)));
        }
        let mut holding = self.holding(&place).await?;
        if place.directory.is_empty() && !place.in_zone {
            found.push(self.difference(b"", &place.collection, What::Missing));
        }
        let listing = match self.list(&place, here.operation).await? {
            Ok(listing) => listing,
            Err(error) if place.directory.is_empty() => return Err(error.into()),
            Err(error) => {
                let what = What::Unknown(error.to_string());
                found.push(self.difference(&place.directory, &place.collection, what));
                return Ok((Vec::new(), (part, found)));
            }
        };
        let mut placing = self.place_entries(&place, &listing, &mut holding).await?;
        for double in placing.doubles(&listing, self.targets()) {
            placing.settle(&listing, &double, double.first().copied());
        }
        let mut below = Vec::new();
        for (index, entry) in listing.entries.iter().enumerate() {
            let Some(options) = placing.at(index) else {
                break;
            };
            let relative = join(&place.directory, &entry.name);
            if self
                .filter
                .excludes(&self.spec.absolute(&relative), entry.stat.kind)
            {
                part.excluded += 1;
                continue;
            }
            if options.skip.is_some() {
                part.left_out += 1;
                continue;
            }
            let refused = placing.refusal(index).or(options.wrong.as_ref());
            let what = if let Some(refused) = refused {
                Some(What::Unknown(refused.to_string()))
            } else if entry.stat.kind == EntryKind::Directory {
                part.directories += 1;
                let place = self.below(&place, &entry.name, options, &holding);
                let what = match (place.in_zone, place.blocked) {
                    (true, _) => None,
                    (false, true) => Some(What::NotACollection),
                    (false, false) => Some(What::Missing),
                };
                below.push(place);
                what
            } else {
                part.files += 1;
                let what = compare_file(entry, options, &holding);
                match what {
                    None if bytes => {
                        self.compare_bytes(&place, entry, options, &holding, &mut part)
                            .await?
                    }
                    what => what,
                }
            };
            found.extend(what.map(|what| self.difference(&relative, &options.target, what)));
        }
        for (index, (name, error)) in listing.errors.iter().enumerate() {
            let relative = join(&place.directory, name);
            let options = placing.at(listing.entries.len() + index);
            let target = options.map_or(place.collection.as_str(), |options| &options.target);
            found.push(self.difference(&relative, target, What::Unknown(error.to_string())));
        }
        let at = (place.directory.as_slice(), place.collection.as_str());
        let present = placing.present(&self.spec, at, &listing);
        let here = (&place, &here);
        for surplus in self.surplus(here, &holding, &present).await? {
            let is_surplus = match surplus.is_collection {
                true => self.content(here, &surplus.target, true).await?.surplus > 0,
                false => surplus.of.is_none(),
            };
            if is_surplus {
                found.push(Difference {
                    path: surplus.path,
                    target: surplus.target,
                    what: What::Surplus,
                });
            }
        }
        Ok((below, (part, found)))
    }

    fn difference(&self, relative: &[u8], target: &str, what: What) -> Difference {
        Difference {
            path: self.spec.absolute(relative),
            target: target.to_owned(),
            what,
        }
    }

    /// Compares a file with its object byte by byte. What has no content of its own in the source is not compared.
    async fn compare_bytes(
        &self,
        place: &Place,
        entry: &Entry,
        options: &EntryOptions,
        holding: &Holding,
        part: &mut Verified,
    ) -> Result<Option<What>, SurveyError> {
        if !matches!(entry.stat.kind, EntryKind::Regular | EntryKind::Symlink) {
            return Ok(None);
        }
        let (directory, file) = (relative_path(&place.directory), entry.name.to_vec());
        let opened = self
            .at_source(move |source| source.open(&directory, &file, 0))
            .await?;
        let file = match opened {
            Ok((file, _)) => file,
            // A link that leads to no file was registered as a link.
            Err(SourceError::Dangling { .. } | SourceError::NotRegular { .. })
                if entry.stat.kind == EntryKind::Symlink =>
            {
                return Ok(None);
            }
            Err(error) => return Ok(Some(What::Unknown(error.to_string()))),
        };
        let stored = holding.replicas(&options.target).and_then(|replicas| {
            let good = replicas.iter().find(|r| r.status == ReplicaStatus::Good)?;
            good.checksum.strip_prefix("sha2:").map(str::to_owned)
        });
        self.same_bytes(file, &options.target, stored, part).await
    }

    async fn same_bytes(
        &self,
        mut file: Box<dyn Read + Send>,
        object: &str,
        stored: Option<String>,
        part: &mut Verified,
    ) -> Result<Option<What>, SurveyError> {
        let mut zone = self.zone.get().await?;
        let mut replica = match zone.open_data_object(object, OpenHow::Read, None).await {
            Ok(replica) => replica,
            Err(error) if error.is_connection_loss() => return Err(error.into()),
            Err(error) => return Ok(Some(What::Unknown(error.to_string()))),
        };
        let mut hash = Sha256::new();
        let mut at = 0;
        let what = loop {
            let theirs = replica.read(BLOCK).await?;
            hash.update(&theirs);
            let wanted = theirs.len().max(1);
            let read = tokio::task::spawn_blocking(move || {
                let mut ours = vec![0; wanted];
                let n = read_full(&mut file, &mut ours);
                (file, ours, n)
            });
            let (again, mut ours, n) = read.await.map_err(|_| SurveyError::Lost)?;
            file = again;
            match n {
                Ok(n) => ours.truncate(n),
                Err(error) => break Some(What::Unknown(error.to_string())),
            }
            let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            part.bytes += same as u64;
            if same < ours.len().max(theirs.len()) {
                break Some(What::Bytes {
                    at: at + same as u64,
                });
            }
            if theirs.is_empty() {
                let sum = STANDARD.encode(hash.finalize());
                break (stored.is_some_and(|stored| stored != sum)).then_some(What::Checksum);
            }
            at += same as u64;
        };
        replica.close().await?;
        Ok(what)
    }
}

fn compare_file(entry: &Entry, options: &EntryOptions, holding: &Holding) -> Option<What> {
    if options.operation == Operation::NoOp {
        return None;
    }
    let Some(replicas) = holding.replicas(&options.target) else {
        return Some(match holding.is_collection(&options.target) {
            true => What::NotADataObject,
            false => What::Missing,
        });
    };
    match options.operation {
        operation if operation.registers() => {
            let resource = options.resource.as_deref();
            registered(&entry.stat, replicas, &options.physical, resource)
        }
        operation => uploaded(&entry.stat, replicas, operation),
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Of several replicas under the path, registering updates the last.
fn registered(
    stat: &Stat,
    replicas: &[Replica],
    physical: &str,
    resource: Option<&str>,
) -> Option<What> {
    let under = |replica: &&Replica| {
        resource.is_none_or(|resource| replica.hierarchy.split(';').any(|name| name == resource))
    };
    let ours = replicas
        .iter()
        .filter(under)
        .rfind(|replica| replica.path == physical.as_bytes());
    let Some(ours) = ours else {
        let other = replicas.first().map(|replica| replica.path.to_string());
        return Some(What::Elsewhere(other.unwrap_or_default()));
    };
    if ours.status != ReplicaStatus::Good {
        return Some(What::NotGood(ours.status));
    }
    different_size(stat, ours).or((ours.mtime != stat.mtime.seconds).then_some(What::Time {
        source: stat.mtime.seconds,
        zone: ours.mtime,
    }))
}

fn uploaded(stat: &Stat, replicas: &[Replica], operation: Operation) -> Option<What> {
    let Some(good) = replicas.iter().find(|r| r.status == ReplicaStatus::Good) else {
        let status = replicas.first().map(|replica| replica.status);
        return Some(What::NotGood(status.unwrap_or(ReplicaStatus::Other(-1))));
    };
    if operation == Operation::Put {
        return None;
    }
    // The clocks of source and zone differ by less than the margin.
    let newer = stat.mtime.seconds > good.mtime.saturating_add(CLOCK_MARGIN_SECONDS);
    different_size(stat, good).or(newer.then_some(What::Time {
        source: stat.mtime.seconds,
        zone: good.mtime,
    }))
}

fn different_size(stat: &Stat, replica: &Replica) -> Option<What> {
    (replica.size != stat.size).then_some(What::Size {
        source: stat.size,
        zone: replica.size,
    })
}
