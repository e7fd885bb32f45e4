//! What a zone consists of: its server, resources and users.

use irods_protocol::message::{
    GetHierarchyForRescInp, GetHierarchyForRescOut, IntPi, MiscSvrInfo, MiscSvrInfoBase,
};
use irods_protocol::{api, columns};

use crate::connection::{Connection, Request};
use crate::error::Result;
use crate::query::{Query, Row};

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Release, e.g. `rods5.0.2`.
    pub release: String,
    /// Zone.
    pub zone: String,
    /// Time of its start, seconds since 1970.
    pub boot_time: i64,
}

/// A storage or coordinating resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Catalog id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Type, e.g. `unixfilesystem`, `replication`.
    pub kind: String,
    /// Host.
    pub host: String,
    /// Vault path; `EMPTY_RESC_PATH` for coordinating resources.
    pub vault: String,
    /// `up`, `down`, or empty (up).
    pub status: String,
    /// Context text.
    pub context: String,
    /// Catalog id of the parent, if it is not a root.
    pub parent: Option<i64>,
}

impl Resource {
    /// It keeps bytes itself, and does not only choose among others.
    pub fn stores(&self) -> bool {
        self.vault != "EMPTY_RESC_PATH"
    }
}

/// A user or group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Name.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// `rodsadmin`, `groupadmin`, `rodsuser` or `rodsgroup`.
    pub kind: String,
    /// Catalog id.
    pub id: i64,
}

impl Connection {
    /// What the server says of itself; the cheapest call there is.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn server_info(&mut self) -> Result<ServerInfo> {
        let request = Request::new(api::GET_MISC_SVR_INFO, "");
        let reply = self.call(request, None::<&IntPi>).await?;
        let (release, zone, boot_time) = if self.server.misc_server_info_has_certificate() {
            let info: MiscSvrInfo = self.decode(api::GET_MISC_SVR_INFO, &reply)?;
            (info.rel_version, info.rods_zone, info.server_boot_time)
        } else {
            let info: MiscSvrInfoBase = self.decode(api::GET_MISC_SVR_INFO, &reply)?;
            (info.rel_version, info.rods_zone, info.server_boot_time)
        };
        Ok(ServerInfo {
            release,
            zone,
            // Unsigned seconds in a signed field.
            boot_time: i64::from(boot_time.cast_unsigned()),
        })
    }

    /// All resources.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn list_resources(&mut self) -> Result<Vec<Resource>> {
        self.resources(Query::select(&RESOURCE_COLUMNS)).await
    }

    /// One resource by name, if there is one.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn resource(&mut self, name: &str) -> Result<Option<Resource>> {
        let query = Query::select(&RESOURCE_COLUMNS).equals(columns::RESC_NAME, name);
        Ok(self.resources(query).await?.pop())
    }

    async fn resources(&mut self, query: Query) -> Result<Vec<Resource>> {
        let mut resources = self.query(query).all(resource).await?;
        resources.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(resources)
    }

    /// The hierarchy from the root down to a resource: `root;child;leaf`.
    ///
    /// # Errors
    /// `SYS_RESC_DOES_NOT_EXIST` or `CAT_NO_ROWS_FOUND` for an unknown one.
    pub async fn resource_hierarchy(&mut self, name: &str) -> Result<String> {
        let input = GetHierarchyForRescInp {
            resc_name: name.to_owned(),
        };
        let request = Request::new(api::GET_HIER_FOR_RESC, name);
        let out: GetHierarchyForRescOut = self.ask(request, Some(&input)).await?;
        Ok(out.resc_hier)
    }

    /// A user or group by name and zone, if there is one.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn user(&mut self, name: &str, zone: &str) -> Result<Option<User>> {
        let query = Query::select(&USER_COLUMNS)
            .equals(columns::USER_NAME, name)
            .equals(columns::USER_ZONE, zone);
        Ok(self.query(query).all(user).await?.pop())
    }

    /// All users and groups, sorted.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn list_users(&mut self) -> Result<Vec<User>> {
        let query = Query::select(&USER_COLUMNS);
        let mut users = self.query(query).all(user).await?;
        users.sort();
        Ok(users)
    }
}

const USER_COLUMNS: [i32; 4] = [
    columns::USER_NAME,
    columns::USER_ZONE,
    columns::USER_TYPE,
    columns::USER_ID,
];

const RESOURCE_COLUMNS: [i32; 8] = [
    columns::RESC_ID,
    columns::RESC_NAME,
    columns::RESC_TYPE_NAME,
    columns::RESC_LOC,
    columns::RESC_VAULT_PATH,
    columns::RESC_STATUS,
    columns::RESC_CONTEXT,
    columns::RESC_PARENT,
];

fn resource(row: Row<'_>) -> Resource {
    Resource {
        id: row.number(columns::RESC_ID).unwrap_or(-1),
        name: row.text(columns::RESC_NAME),
        kind: row.text(columns::RESC_TYPE_NAME),
        host: row.text(columns::RESC_LOC),
        vault: row.text(columns::RESC_VAULT_PATH),
        status: row.text(columns::RESC_STATUS),
        context: row.text(columns::RESC_CONTEXT),
        parent: row.number(columns::RESC_PARENT),
    }
}

fn user(row: Row<'_>) -> User {
    User {
        name: row.text(columns::USER_NAME),
        zone: row.text(columns::USER_ZONE),
        kind: row.text(columns::USER_TYPE),
        id: row.number(columns::USER_ID).unwrap_or(-1),
    }
}
