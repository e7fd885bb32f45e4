//! What handlers are told, under the names that the Python tool has for it.

use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::host::HostError;
use super::{Handler, Python, Store};
use crate::core::choice::Candidate;
use crate::core::{Changes, Event, Subject};
use crate::plan::Operation;
use crate::source::s3::Access;
use crate::source::{EntryKind, Stat};
use crate::spec::JobSpec;

/// The keyword arguments of a hook.
pub(super) fn options(event: Event, operation: Operation) -> Value {
    match event {
        Event::DataObjCreate | Event::DataObjModify if operation != Operation::NoOp => {
            json!({ "allow_redirect": false })
        }
        _ => json!({}),
    }
}

/// What handlers are told of the entry, besides what is the same for the whole job.
pub(super) fn entry_meta(event: Event, subject: Subject<'_>) -> Value {
    let mut meta = place(subject.path, subject.target);
    match event {
        Event::CollCreate | Event::CollModify => {
            meta["entry_type"] = "dir".into();
            meta["task"] = "filesystem_sync_dir".into();
        }
        Event::CollDelete => {
            meta["path"] = subject.target.into();
            meta["target_collection"] = subject.target.into();
            meta["task"] = "delete_collection".into();
        }
        Event::DataObjDelete => {
            meta["data_objects_to_delete"] = json!([subject.target]);
            meta["task"] = "delete_data_object".into();
        }
        Event::DataObjCreate | Event::DataObjModify => {
            meta["entry_type"] = "file".into();
            meta["task"] = "sync_file".into();
            meta["is_empty_dir"] = Value::Null;
        }
    }
    if let Some(stat) = subject.stat {
        put_stat(&mut meta, stat);
    }
    meta
}

/// What a hook before an action left.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Left {
    pub(super) changes: Changes,
    /// What the hook after it finds.
    pub(super) kept: Option<String>,
}

/// The answer of a hook before an action; `null` where it left everything as it was.
pub(super) fn left(answer: Value) -> Result<Left, HostError> {
    let left: Option<Left> = serde_json::from_value(answer).map_err(|_| HostError::Nonsense)?;
    Ok(left.unwrap_or_default())
}

/// What the action is to follow.
pub(super) fn changes(told: Value) -> Result<Changes, HostError> {
    serde_json::from_value(told).map_err(|_| HostError::Nonsense)
}

/// What handlers are told of an entry for which they choose.
pub(super) fn candidate(entry: &Candidate<'_>) -> Value {
    let mut meta = place(entry.path, entry.target);
    meta["is_directory"] = entry.is_directory.into();
    meta["placed"] = entry.placed.into();
    meta["attempts"] = entry.attempts.into();
    meta["entry_type"] = if entry.is_directory { "dir" } else { "file" }.into();
    if let Some(stat) = entry.stat {
        put_stat(&mut meta, stat);
    }
    meta
}

fn place(path: &[u8], target: &str) -> Value {
    let mut meta = json!({ "target": target });
    match std::str::from_utf8(path) {
        Ok(path) => meta["path"] = path.into(),
        Err(_) => meta["path_bytes"] = path.into(),
    }
    meta
}

fn put_stat(meta: &mut Value, stat: &Stat) {
    let time = |time: crate::source::Timestamp| {
        time.seconds as f64 + f64::from(time.nanos) / 1_000_000_000.0
    };
    meta["mtime"] = time(stat.mtime).into();
    meta["ctime"] = time(stat.ctime).into();
    if stat.kind == EntryKind::Directory {
        return;
    }
    meta["size"] = stat.size.into();
    meta["is_link"] = (stat.kind == EntryKind::Symlink).into();
    meta["is_socket"] = (stat.kind == EntryKind::Socket).into();
}

/// What handlers are told of the job, under the names that the Python tool has for it.
pub(super) fn job_meta(
    python: &Python,
    handler: &Handler,
    job_name: &str,
    spec: &JobSpec,
) -> Value {
    let source = String::from_utf8_lossy(spec.source_bytes());
    let options = &spec.options;
    let redis = match &python.store {
        Store::File(_) | Store::Redis(None) => Value::Null,
        Store::Redis(Some((host, port, db))) => json!({ "host": host, "port": port, "db": db }),
    };
    let log = json!({ "filename": null, "when": null, "interval": null, "level": null });
    let mut meta = json!({
        "job_name": job_name,
        "target": spec.target,
        "root_target_collection": spec.target,
        "root": source,
        "src_path": source,
        "path": source,
        "interval": null,
        "ignore_cache": options.ignore_cache,
        "initial_ingest": options.initial_ingest,
        "synchronous": false,
        "progress": false,
        "profile": false,
        "files_per_task": options.files_per_task,
        "event_handler": handler.path,
        "restart_queue": options.queues.restart,
        "path_queue": options.queues.path,
        "file_queue": options.queues.file,
        "exclude_file_type": options.exclude_file_type,
        "exclude_file_name": options.exclude_file_name,
        "exclude_directory_name": options.exclude_directory_name,
        "event_handler_key": format!("custom_event_handler:/{job_name}::{:016x}", xxh3_64(handler.text.as_bytes())),
        "idle_disconnect_seconds": 60,
        "queue_name": options.queues.file,
        "task": "filesystem_sync_path",
        "config": { "log": log, "profile": log, "redis": redis },
    });
    put_bucket(&mut meta, spec);
    meta
}

/// How a bucket is reached. Its keys are read here, on the machine of who runs the handler, and go to the handler alone.
fn put_bucket(meta: &mut Value, spec: &JobSpec) {
    let of_directory = Access::default();
    let access = spec.options.bucket.as_ref().unwrap_or(&of_directory);
    let keypair = access.key_file().map(|file| file.to_string_lossy());
    meta["s3_endpoint_domain"] = access.endpoint.as_str().into();
    meta["s3_region_name"] = access.region.as_str().into();
    meta["s3_keypair"] = keypair.into();
    meta["s3_proxy_url"] = access.proxy.as_deref().into();
    meta["s3_secure_connection"] = (!access.insecure).into();
    meta["s3_multipart_chunksize_in_mib"] = access.chunk_mib.into();
    if spec.options.bucket.is_none() {
        return;
    }
    let path = String::from_utf8_lossy(spec.source_bytes()).into_owned();
    let path = path.trim_start_matches('/');
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    meta["root"] = bucket.into();
    meta["s3_prefix"] = prefix.into();
    // A worker that cannot read the file has not come this far.
    if let Ok(Some((access, secret))) = access.keys() {
        meta["s3_access_key"] = access.into();
        meta["s3_secret_key"] = secret.into();
    }
}
