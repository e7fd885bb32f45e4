//! The fixed vocabulary of the catalog: access levels, data types, user and resource types.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{CatalogError, Result, code};
use super::time;

/// Access levels in ascending order of power, with their token ids (server source 4.3).
pub const ACCESS_LEVELS: &[(i64, &str)] = &[
    (1000, "null"),
    (1010, "execute"),
    (1020, "read_annotation"),
    (1030, "read_system_metadata"),
    (1040, "read_metadata"),
    (1050, "read_object"),
    (1060, "write_annotation"),
    (1070, "create_metadata"),
    (1080, "modify_metadata"),
    (1090, "delete_metadata"),
    (1100, "administer_object"),
    (1110, "create_object"),
    (1120, "modify_object"),
    (1130, "delete_object"),
    (1140, "create_token"),
    (1150, "delete_token"),
    (1160, "curate"),
    (1200, "own"),
];

/// Data types that clients name; `generic` is the default.
const DATA_TYPES: &[&str] = &[
    "generic",
    "text",
    "ascii text",
    "ascii compressed Lempel-Ziv",
    "ascii compressed Huffman",
    "html",
    "xml",
    "pdf file",
    "word document",
    "excel document",
    "power point document",
    "image",
    "jpeg image",
    "gif image",
    "png image",
    "tiff image",
    "audio streams",
    "video streams",
    "movie",
    "MPEG Movie",
    "database",
    "link",
    "URL",
    "tar file",
    "tarFile",
    "tar bundle",
    "gzipTar",
    "bzip2Tar",
    "zipFile",
    "gzipFile",
    "bzip2File",
    "compressed file",
    "compressed tar file",
    "executable code",
    "object code",
    "library code",
    "program code",
    "shell script",
    "perl script",
    "C code",
    "C include file",
    "fortran code",
    "java code",
    "print-format",
    "directory shadow object",
    "shadow object",
    "msso file",
    "mssoCompoundFile",
    "BagIt",
    "data file",
    "netcdf",
    "hdf5",
    "HDF",
    "FITS image",
    "DICOM image",
    "csv",
];

const USER_TYPES: &[&str] = &["rodsgroup", "rodsadmin", "rodsuser", "groupadmin"];

/// Resource types that this zone can serve; `bool` says whether it stores bytes itself.
pub const RESOURCE_TYPES: &[(&str, bool)] = &[
    ("unixfilesystem", true),
    ("s3", true),
    ("passthru", false),
    ("replication", false),
    ("random", false),
    ("deferred", false),
];

/// Writes the vocabulary into a new catalog.
pub(crate) fn insert_all(connection: &Connection) -> rusqlite::Result<()> {
    let now = time::now();
    let mut insert = connection.prepare(
        "INSERT INTO r_tokn_main (token_namespace, token_id, token_name, create_ts, modify_ts)
         VALUES (?1, ?2, ?3, ?4, ?4)",
    )?;
    for (id, name) in ACCESS_LEVELS {
        insert.execute(params!["access_type", id, name, now])?;
    }
    let counted = [
        ("data_type", 1_700_i64, DATA_TYPES.to_vec()),
        ("user_type", 1_900, USER_TYPES.to_vec()),
        (
            "resc_type",
            1_600,
            RESOURCE_TYPES.iter().map(|(name, _)| *name).collect(),
        ),
    ];
    for (namespace, first, names) in counted {
        for (id, name) in (first..).zip(names) {
            insert.execute(params![namespace, id, name, now])?;
        }
    }
    Ok(())
}

/// True if the token exists.
pub fn exists(conn: &Connection, namespace: &str, name: &str) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM r_tokn_main WHERE token_namespace = ?1 AND token_name = ?2")?
        .query_row(params![namespace, name], |_| Ok(()))
        .optional()?
        .is_some())
}

/// Fails with `CAT_INVALID_DATA_TYPE` unless the data type is known.
pub fn require_data_type(conn: &Connection, name: &str) -> Result<()> {
    if exists(conn, "data_type", name)? {
        return Ok(());
    }
    Err(CatalogError::new(
        code::CAT_INVALID_DATA_TYPE,
        format!("no such data type: {name:?}"),
    ))
}

/// Adds a token (`iadmin at`).
pub fn add(conn: &Connection, namespace: &str, name: &str, value: &str) -> Result<()> {
    if namespace.is_empty() || name.is_empty() {
        return Err(CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            "a token needs a name",
        ));
    }
    let id = super::ids::next(conn)?;
    conn.prepare_cached(
        "INSERT INTO r_tokn_main (token_namespace, token_id, token_name, token_value, create_ts, modify_ts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )?
    .execute(params![namespace, id, name, value, time::now()])?;
    Ok(())
}

/// Removes a token (`iadmin rt`).
pub fn remove(conn: &Connection, namespace: &str, name: &str) -> Result<()> {
    let removed = conn
        .prepare_cached("DELETE FROM r_tokn_main WHERE token_namespace = ?1 AND token_name = ?2")?
        .execute(params![namespace, name])?;
    if removed == 0 {
        return Err(CatalogError::new(
            code::CAT_SUCCESS_BUT_WITH_NO_INFO,
            "no such token",
        ));
    }
    Ok(())
}
