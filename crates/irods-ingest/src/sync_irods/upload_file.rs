//! Uploading a file, whole or its new end. What the source held is checked when it has been read: a file that changed on the
//! way is an error, and what was made of it is not left to look whole.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use irods_client::access::Grant;
use irods_client::register::Target;
use irods_client::transfer::{Put, PutChecksum};

use super::annotate::all_avus;
use super::claim::{claim_of, is_claimed};
use super::{FileAction, made};
use crate::broker::Counts;
use crate::context::JobContext;
use crate::core::choice::EntryOptions;
use crate::error::{EntryError, SyncError};
use crate::profile::{About, Measured, Stage};
use crate::rate::Wanted;
use crate::source::{Source, Stat};
use crate::spec::ChecksumPolicy;
use crate::zone::Session;

/// Files up to this size go in one message and through memory as a whole; a worker has as many of them in hand as it
/// has tasks.
const SINGLE_MESSAGE_MAX: u64 = 4 * 1024 * 1024;

/// Uploads the file: as a new object, or `over` whatever is there.
pub(super) async fn upload_file(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    over: bool,
) -> Result<Counts, SyncError> {
    let how = how(action, over);
    if let Some(content) = action.content {
        let measured = transfer(action, "put");
        let sent = zone.put_bytes(action.subject.target, content, &how);
        measured.end(sent.await)?;
        return Ok(made(action));
    }
    let streams = action.context.spec.options.transfer_streams;
    let size = action.stat.size;
    let file = open(action, 0).await?;
    let (file, _wanted) = throttled(action.context, file);
    let measured = transfer(action, "put");
    let sent = zone.put_in_streams(action.subject.target, file, size, &how, streams);
    measured.end(sent.await)?;
    Ok(made(action))
}

/// How it is put: as a new object, or `over` whatever is there.
pub(super) fn how(action: &FileAction<'_>, over: bool) -> Put {
    let options = &action.context.spec.options;
    Put {
        target: action.options.resource.clone().map(Target::Resource),
        overwrite: over,
        checksum: match options.checksum {
            ChecksumPolicy::None => PutChecksum::None,
            ChecksumPolicy::Register => PutChecksum::Register,
            ChecksumPolicy::Verify => PutChecksum::Verify,
        },
        // With the object: a worker that dies leaves none that nobody has claimed, and none without its AVUs.
        metadata: match over {
            true => Vec::new(),
            false => {
                let claim = is_claimed(action).then(|| claim_of(action));
                all_avus(action).into_iter().chain(claim).collect()
            }
        },
        access: match !over && grants_come_along(action.options, action.stat.size) {
            true => action.options.grants.clone(),
            false => Vec::new(),
        },
        single_message_max: SINGLE_MESSAGE_MAX,
        ..Put::default()
    }
}

/// Whether the message that has the file's bytes has the permissions for a new object as well.
pub(crate) fn grants_come_along(options: &EntryOptions, size: u64) -> bool {
    size <= SINGLE_MESSAGE_MAX && options.grants.iter().all(Grant::fits_a_put)
}

/// Writes what the file has beyond `from`, the object's size; answers how many bytes that is.
pub(super) async fn append(
    zone: &mut dyn Session,
    action: &FileAction<'_>,
    from: u64,
) -> Result<u64, SyncError> {
    let target = action.options.resource.clone().map(Target::Resource);
    let file = open(action, from).await?;
    let size = action.stat.size.saturating_sub(from);
    let (file, _wanted) = throttled(action.context, file);
    let measured = transfer(action, "append");
    let sent = zone.append(action.subject.target, file, size, from, target.as_ref());
    measured.end(sent.await)?;
    Ok(size)
}

pub(super) fn transfer<'a>(action: &FileAction<'a>, name: &'a str) -> Measured<'a> {
    let stages = &action.context.stages;
    stages.begin(Stage::Transfer, name, About::path(action.subject.path))
}

/// The file, read no faster than this worker may upload; its waiting ends with what it is returned with.
fn throttled(
    context: &JobContext,
    file: Box<dyn Read + Send>,
) -> (Box<dyn Read + Send>, Option<Wanted>) {
    match &context.throttle {
        None => (file, None),
        Some(throttle) => {
            let (reader, wanted) = throttle.reader(file);
            (Box::new(reader), Some(wanted))
        }
    }
}

/// Opens the file for reading from an offset on, if it still is what was looked at.
pub(super) async fn open(
    action: &FileAction<'_>,
    from: u64,
) -> Result<Box<dyn Read + Send>, SyncError> {
    let directory = PathBuf::from(OsStr::from_bytes(action.directory));
    let (name, seen): (Vec<u8>, Stat) = (action.name.to_vec(), *action.stat);
    let open = move |source: &dyn Source| source.open(&directory, &name, from);
    let (file, stat) = action.context.at_source(open).await?;
    if !stat.unchanged_since(&seen) {
        return Err(SyncError::Entry(EntryError::new(
            "SOURCE_CHANGED",
            format!(
                "{} changed while it was looked at",
                bstr::BStr::new(action.subject.path)
            ),
        )));
    }
    Ok(file)
}
