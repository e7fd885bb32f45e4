//! Users, groups, memberships and passwords.

use rusqlite::Connection;

use super::error::{CatalogError, Result, code};
use super::{Identity, UserType};

/// A user's or group's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: i64,
    /// Name without zone.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// Type.
    pub user_type: UserType,
    /// `USER_INFO`.
    pub info: String,
    /// `USER_COMMENT`.
    pub comment: String,
    /// Creation time, 11 digits.
    pub create_time: String,
    /// Modification time, 11 digits.
    pub modify_time: String,
}

/// A password that a user can log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// Identifies the row, for [`use_up`].
    pub row: i64,
    /// The clear text.
    pub clear: String,
    /// Seconds since the epoch after which it no longer counts.
    pub expires: Option<u64>,
    /// Gone after the first login.
    pub single_use: bool,
}

/// `name#zone` or `name`, taken apart; the zone is empty if none is given.
#[must_use]
pub fn split_name(text: &str) -> (&str, &str) {
    text.split_once('#').unwrap_or((text, ""))
}

/// The user or group of that name; an empty zone means the local one.
pub fn find(conn: &Connection, name: &str, zone: &str) -> Result<Option<User>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// The identity of a user (not a group).
///
/// # Errors
/// `CAT_INVALID_USER`.
pub fn identity(conn: &Connection, name: &str, zone: &str) -> Result<Identity> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// All passwords of a user, also expired ones; none for an unknown user.
pub fn passwords(conn: &Connection, name: &str, zone: &str) -> Result<Vec<Password>> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Replaces the user's permanent password.
///
/// # Errors
/// `PASSWORD_EXCEEDS_MAX_SIZE` unless it has 3 to 42 bytes.
pub fn set_password(conn: &Connection, user_id: i64, clear: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds a password that expires.
pub fn add_temporary_password(
    conn: &Connection,
    user_id: i64,
    clear: &str,
    expires: u64,
    single_use: bool,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes a single-use password after its use, and all expired ones of the same user.
pub fn use_up(conn: &Connection, row: i64) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds a user with home and trash collections, member of `public` and of his own group.
/// `auth` is an authentication name or empty. Rodsadmins and groupadmins only; the latter make rodsusers.
pub fn add_user(
    conn: &Connection,
    who: &Identity,
    name: &str,
    zone: &str,
    user_type: UserType,
    auth: &str,
) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds a group. Rodsadmins and groupadmins.
pub fn add_group(conn: &Connection, who: &Identity, name: &str) -> Result<i64> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Removes a user or group with its empty home and trash collections and permissions.
///
/// # Errors
/// `CAT_INVALID_USER`, `CAT_INVALID_ARGUMENT` for oneself.
pub fn remove(conn: &Connection, who: &Identity, name: &str, zone: &str) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// What `iadmin moduser` changes.
#[derive(Clone, PartialEq, Eq)]
pub enum UserChange {
    /// Type.
    Type(UserType),
    /// `USER_COMMENT`.
    Comment(String),
    /// `USER_INFO`.
    Info(String),
    /// Password in clear.
    Password(String),
    /// Adds an authentication name.
    AddAuth(String),
    /// Removes one.
    RemoveAuth(String),
}

/// Changes a user. Rodsadmins; everybody his own password.
pub fn modify(
    conn: &Connection,
    who: &Identity,
    name: &str,
    zone: &str,
    change: &UserChange,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Adds a user to a group. Rodsadmins; groupadmins for groups that are empty or that they belong to.
pub fn add_member(
    conn: &Connection,
    who: &Identity,
    group: &str,
    user: &str,
    zone: &str,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}

/// Takes a user out of a group; same rights as [`add_member`].
pub fn remove_member(
    conn: &Connection,
    who: &Identity,
    group: &str,
    user: &str,
    zone: &str,
) -> Result<()> {
    Err(CatalogError::new(code::SYS_NOT_SUPPORTED, "not there yet"))
}
