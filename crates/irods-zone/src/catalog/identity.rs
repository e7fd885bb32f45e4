//! Who acts: the client user of a connection, as every catalog function needs it.

use super::error::{CatalogError, Result, code};

/// The kinds of account a zone knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserType {
    /// Administrator.
    RodsAdmin,
    /// May make users and manage the groups it belongs to.
    GroupAdmin,
    /// Ordinary user.
    RodsUser,
    /// A group, not a person.
    RodsGroup,
}

impl UserType {
    /// The name in the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RodsAdmin => "rodsadmin",
            Self::GroupAdmin => "groupadmin",
            Self::RodsUser => "rodsuser",
            Self::RodsGroup => "rodsgroup",
        }
    }

    /// Reads a type name; unknown ones are `CAT_INVALID_USER_TYPE` (recorded exchange prc_users).
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "rodsadmin" => Ok(Self::RodsAdmin),
            "groupadmin" => Ok(Self::GroupAdmin),
            "rodsuser" => Ok(Self::RodsUser),
            "rodsgroup" => Ok(Self::RodsGroup),
            _ => Err(CatalogError::new(
                code::CAT_INVALID_USER_TYPE,
                format!("no such user type: {name:?}"),
            )),
        }
    }
}

/// The user on whose behalf a call runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id in the catalog.
    pub user_id: i64,
    /// Name without zone.
    pub name: String,
    /// Home zone.
    pub zone: String,
    /// Kind of account.
    pub user_type: UserType,
    /// Admin mode: object permissions are not looked at. Only [`Identity::in_admin_mode`] sets it;
    /// being a rodsadmin alone does not (a real server wants the `irodsAdmin` keyword as well).
    pub admin: bool,
    /// Rows are hidden even from a rodsadmin as from an ordinary user (the harsh mode).
    pub strict: bool,
    /// A ticket that goes with the user's own permissions.
    pub ticket: Option<super::tickets::Supplied>,
}

impl Identity {
    /// True for rodsadmins: they may administer.
    #[must_use]
    pub fn is_rodsadmin(&self) -> bool {
        self.user_type == UserType::RodsAdmin
    }

    /// True for who sees every row, as rodsadmins do.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.is_rodsadmin() && !self.strict
    }

    /// The same user with object permissions switched off, for the `irodsAdmin` keyword.
    ///
    /// # Errors
    /// `CAT_INSUFFICIENT_PRIVILEGE_LEVEL` if the user is no rodsadmin.
    pub fn in_admin_mode(&self) -> Result<Self> {
        self.require_rodsadmin()?;
        Ok(Self {
            admin: true,
            ..self.clone()
        })
    }

    /// Fails with `CAT_INSUFFICIENT_PRIVILEGE_LEVEL` unless the user is a rodsadmin.
    pub fn require_rodsadmin(&self) -> Result<()> {
        if self.is_rodsadmin() {
            return Ok(());
        }
        Err(CatalogError::new(
            code::CAT_INSUFFICIENT_PRIVILEGE_LEVEL,
            format!("{}#{} is no administrator", self.name, self.zone),
        ))
    }
}
