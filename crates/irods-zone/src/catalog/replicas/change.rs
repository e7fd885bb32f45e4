//! Changing columns of replicas, one or several at a time.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::super::error::{CatalogError, Result, code};
use super::super::{paths, resources, time, tokens};

/// Which replicas of an object a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// That number.
    Number(i64),
    /// The one on that leaf resource.
    Resource(i64),
}

/// A column that `MOD_DATA_OBJ_META` and its kin change; values are text as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `chksum`.
    Checksum,
    /// `dataCreate`.
    CreateTime,
    /// `dataExpiry`.
    Expiry,
    /// `replStatus`.
    Status,
    /// `dataMode`.
    Mode,
    /// `dataOwner`.
    OwnerName,
    /// `dataOwnerZone`.
    OwnerZone,
    /// `filePath`.
    PhysicalPath,
    /// `replNum`.
    Number,
    /// `dataSize`.
    Size,
    /// `statusString`.
    StatusText,
    /// `dataType`.
    DataType,
    /// `version`.
    Version,
    /// `dataModify`.
    ModifyTime,
    /// `dataComments`.
    Comments,
    /// `rescId`.
    ResourceId,
    /// `dataAccessTime`.
    AccessTime,
}

/// Changes columns of replicas. Times are padded to 11 digits. Permissions are the caller's.
///
/// # Errors
/// `CAT_NO_ROWS_FOUND` if no replica matches, `CAT_INVALID_ARGUMENT` for a value that is no number
/// where one is needed, `CAT_INVALID_DATA_TYPE`.
pub fn modify(
    conn: &Connection,
    data_id: i64,
    which: Which,
    changes: &[(Field, String)],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let (filter, key) = match which {
        Which::All => ("?2 = 0", 0),
        Which::Number(number) => ("data_repl_num = ?2", number),
        Which::Resource(id) => ("resc_id = ?2", id),
    };
    let mut assignments = Vec::new();
    let mut values = vec![Value::Integer(data_id), Value::Integer(key)];
    for (field, value) in changes {
        values.push(field.checked(conn, value)?);
        assignments.push(format!("{} = ?{}", field.column(), values.len()));
    }
    let sql = format!(
        "UPDATE r_data_main SET {} WHERE data_id = ?1 AND {filter}",
        assignments.join(", ")
    );
    if conn
        .prepare_cached(&sql)?
        .execute(params_from_iter(values))?
        == 0
    {
        return Err(CatalogError::no_rows("replica"));
    }
    Ok(())
}

impl Field {
    const fn column(self) -> &'static str {
        match self {
            Self::Checksum => "data_checksum",
            Self::CreateTime => "create_ts",
            Self::Expiry => "data_expiry_ts",
            Self::Status => "data_is_dirty",
            Self::Mode => "data_mode",
            Self::OwnerName => "data_owner_name",
            Self::OwnerZone => "data_owner_zone",
            Self::PhysicalPath => "data_path",
            Self::Number => "data_repl_num",
            Self::Size => "data_size",
            Self::StatusText => "data_status",
            Self::DataType => "data_type_name",
            Self::Version => "data_version",
            Self::ModifyTime => "modify_ts",
            Self::Comments => "r_comment",
            Self::ResourceId => "resc_id",
            Self::AccessTime => "access_ts",
        }
    }

    /// The value as the column holds it.
    fn checked(self, conn: &Connection, value: &str) -> Result<Value> {
        match self {
            Self::Status | Self::Number | Self::Size | Self::ResourceId => {
                let number: i64 = value.trim().parse().map_err(|_| {
                    CatalogError::new(code::CAT_INVALID_ARGUMENT, format!("no number: {value:?}"))
                })?;
                if number < 0 || (self == Self::Status && number > 4) {
                    return Err(CatalogError::new(
                        code::CAT_INVALID_ARGUMENT,
                        format!("out of range: {value:?}"),
                    ));
                }
                if self == Self::ResourceId {
                    resources::by_id(conn, number)?;
                }
                Ok(Value::Integer(number))
            }
            Self::CreateTime | Self::Expiry | Self::ModifyTime | Self::AccessTime => {
                Ok(Value::Text(time::padded(value)))
            }
            Self::DataType => {
                tokens::require_data_type(conn, value)?;
                Ok(Value::Text(value.to_owned()))
            }
            _ => Ok(Value::Text(value.to_owned())),
        }
    }
}

/// Makes one replica good and all other replicas at rest stale (`allReplStatus`).
pub fn make_only_good(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    let good = conn
        .prepare_cached(
            "UPDATE r_data_main SET data_is_dirty = 1 WHERE data_id = ?1 AND data_repl_num = ?2",
        )?
        .execute(params![data_id, number])?;
    if good == 0 {
        return Err(CatalogError::no_rows("replica"));
    }
    conn.prepare_cached(
        "UPDATE r_data_main SET data_is_dirty = 0
         WHERE data_id = ?1 AND data_repl_num <> ?2 AND data_is_dirty = 1",
    )?
    .execute(params![data_id, number])?;
    Ok(())
}

/// Sets the access time of a replica to now.
pub fn touch_access(conn: &Connection, data_id: i64, number: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE r_data_main SET access_ts = ?3 WHERE data_id = ?1 AND data_repl_num = ?2",
    )?
    .execute(params![data_id, number, time::now()])?;
    Ok(())
}

/// Replaces a prefix of the physical paths of a resource's replicas, after the caller has renamed
/// the directory in the vault. Prefixes are whole directories, without trailing slash. Returns how many changed.
pub fn move_physical_paths(conn: &Connection, resc_id: i64, from: &str, to: &str) -> Result<usize> {
    let (low, high) = paths::below_bounds(from);
    Ok(conn
        .prepare_cached(
            "UPDATE r_data_main SET data_path = ?5 || substr(data_path, length(?4) + 1)
             WHERE data_path >= ?1 AND data_path < ?2 AND resc_id = ?3",
        )?
        .execute(params![low, high, resc_id, from, to])?)
}
