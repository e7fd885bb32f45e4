//! Permissions.

use irods_protocol::message::ModAccessControlInp;
use irods_protocol::{api, columns};
use serde_json::json;

use crate::connection::{Connection, Request};
use crate::data_object::ObjectKind;
use crate::error::Result;
use crate::query::{Query, Row};

/// A permission that somebody has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// User or group.
    pub user: String,
    /// That user's zone.
    pub zone: String,
    /// Level as from 4.3 on, e.g. `read_object`, `modify_object`, `own`.
    pub level: String,
}

/// A permission to give, or, as `null`, to take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// User or group.
    pub user: String,
    /// That user's zone; empty for the local one.
    pub zone: String,
    /// `null`, `read`, `write`, `own`, or one of 4.3's finer levels.
    pub level: String,
}

impl Grant {
    /// For a user or group of the local zone.
    pub fn new(user: impl Into<String>, level: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            zone: String::new(),
            level: level.into(),
        }
    }

    /// Whether a put can bring it along: what it is written in has no place for another zone, nor for blanks or nothing as a name.
    pub fn fits_a_put(&self) -> bool {
        let fits = |word: &str| !word.is_empty() && !word.contains([' ', '#']);
        self.zone.is_empty() && fits(&self.user) && fits(&self.level)
    }
}

impl Connection {
    /// Gives and takes permissions on one data object or collection in one call (20005), all or none, in the order given.
    /// `as_admin`: as administrator, on what is somebody else's.
    ///
    /// # Errors
    /// `SYS_INVALID_INPUT_PARAM` for an unknown user or level; [`crate::Error::is_not_found`] (recorded exchange raw_atomic_acl);
    /// servers before 4.2.9 lack the call.
    pub async fn apply_access(
        &mut self,
        path: &str,
        grants: &[Grant],
        as_admin: bool,
    ) -> Result<()> {
        let operation = |grant: &Grant| {
            let mut json = json!({ "entity_name": grant.user, "acl": grant.level });
            if !grant.zone.is_empty() {
                json["zone"] = grant.zone.as_str().into();
            }
            json
        };
        let operations: Vec<_> = grants.iter().map(operation).collect();
        let input = json!({
            "admin_mode": as_admin,
            "logical_path": path,
            "operations": operations,
        });
        let request = Request::new(api::ATOMIC_APPLY_ACL_OPERATIONS, path);
        self.call_json(request, &input).await.map(drop)
    }

    /// Grants a level (`null`, `read`, `write`, `own`, or one of 4.3's finer ones) to a user or group; an empty zone is the local
    /// one. On a collection `recursive` grants it on everything below as well.
    ///
    /// # Errors
    /// `CAT_INVALID_USER`; `CAT_INVALID_ARGUMENT` for an unknown level or a missing path; `CAT_NO_ACCESS_PERMISSION`.
    pub async fn set_access(
        &mut self,
        path: &str,
        level: &str,
        user: &str,
        zone: &str,
        recursive: bool,
    ) -> Result<()> {
        let text = |t: &str| Some(t.to_owned());
        let input = ModAccessControlInp {
            recursive_flag: recursive.into(),
            access_level: text(level),
            user_name: text(user),
            zone: text(zone),
            path: text(path),
        };
        let request = Request::new(api::MOD_ACCESS_CONTROL, path);
        let request = if recursive {
            request.patient()
        } else {
            request
        };
        self.call(request, Some(&input)).await.map(drop)
    }

    /// Whether new members of a collection get its permissions.
    ///
    /// # Errors
    /// As [`Connection::set_access`].
    pub async fn set_inheritance(&mut self, collection: &str, inherit: bool) -> Result<()> {
        let level = if inherit { "inherit" } else { "noinherit" };
        self.set_access(collection, level, "", "", false).await
    }

    /// The permissions on a data object or collection, sorted. Two calls: the object's id, then who has access to it, as
    /// icommands ask (recorded exchange icmdxml_ils).
    ///
    /// # Errors
    /// As [`Connection::call`]. A missing path has none and is no error.
    pub async fn list_access(&mut self, path: &str) -> Result<Vec<Access>> {
        let Some(stat) = self.stat(path).await? else {
            return Ok(Vec::new());
        };
        let [level, object, namespace] = match stat.kind {
            ObjectKind::DataObject => [
                columns::DATA_ACCESS_NAME,
                columns::DATA_ACCESS_DATA_ID,
                columns::DATA_TOKEN_NAMESPACE,
            ],
            ObjectKind::Collection => [
                columns::COLL_ACCESS_NAME,
                columns::COLL_ACCESS_COLL_ID,
                columns::COLL_TOKEN_NAMESPACE,
            ],
        };
        let query = Query::select(&[columns::USER_NAME, columns::USER_ZONE, level])
            .equals(object, &stat.id.to_string())
            .equals(namespace, "access_type");
        let access = |row: Row<'_>| Access {
            user: row.text(columns::USER_NAME),
            zone: row.text(columns::USER_ZONE),
            // Servers before 4.3 write blanks.
            level: row.text(level).replace(' ', "_"),
        };
        let mut all = self.query(query).all(access).await?;
        all.sort();
        Ok(all)
    }
}
