//! What one connection is: who it acts for, what it has open.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use irods_protocol::Packing;
use irods_protocol::codes;
use irods_protocol::keywords;
use irods_protocol::message::{KeyValPair, StartupPack};

use crate::catalog::query::Cursors;
use crate::catalog::tickets::Supplied;
use crate::catalog::{Catalog, Identity};
use crate::descriptor::Descriptors;
use crate::reply::Failure;
use crate::zone::{Shared, ZONE_NAME};

/// The users that a start-up pack names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Who logs in.
    pub proxy: (String, String),
    /// For whom calls run.
    pub client: (String, String),
}

impl Names {
    /// Of a start-up pack; no zone is the local one.
    pub fn of(pack: StartupPack) -> Self {
        let local = |zone: String| {
            if zone.is_empty() {
                ZONE_NAME.to_owned()
            } else {
                zone
            }
        };
        Self {
            proxy: (pack.proxy_user, local(pack.proxy_rcat_zone)),
            client: (pack.client_user, local(pack.client_rcat_zone)),
        }
    }
}

/// Who has logged in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Whose password was checked.
    pub proxy: Identity,
    /// For whom calls run.
    pub client: Identity,
    /// The challenge that was answered; new passwords are scrambled with it.
    pub challenge: String,
    /// The password that was used, needed to read new passwords.
    pub password: String,
}

/// State of a connection after the start-up.
pub(crate) struct Session {
    pub zone: Arc<Shared>,
    pub packing: Packing,
    pub names: Names,
    /// Whether what is said goes through TLS.
    pub secure: bool,
    /// Where the client is.
    pub peer: IpAddr,
    /// A ticket that the client supplied.
    pub ticket: Option<String>,
    /// A challenge that waits for its answer.
    pub challenge: Option<String>,
    pub login: Option<Login>,
    pub descriptors: Descriptors,
    pub cursors: Cursors,
}

impl Session {
    /// A session that has not logged in.
    pub fn new(zone: Arc<Shared>, packing: Packing, names: Names) -> Self {
        Self {
            zone,
            packing,
            names,
            secure: false,
            peer: Ipv4Addr::UNSPECIFIED.into(),
            ticket: None,
            challenge: None,
            login: None,
            descriptors: Descriptors::default(),
            cursors: Cursors::default(),
        }
    }

    /// Whether calls other than those of the login are open to it.
    pub fn is_logged_in(&self) -> bool {
        self.login.is_some()
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.zone.catalog
    }

    /// The user that calls run for.
    ///
    /// # Errors
    /// `SYS_NO_API_PRIV` before login.
    pub fn user(&self) -> Result<Identity, Failure> {
        let login = self.login.as_ref();
        let login = login.ok_or(Failure::code(codes::SYS_NO_API_PRIV))?;
        let ticket = self.ticket.as_deref().map(|string| Supplied {
            string: string.into(),
            host: self.peer,
        });
        Ok(Identity {
            strict: self.zone.hides_rows_from_all(),
            ticket,
            ..login.client.clone()
        })
    }

    /// The same, in admin mode if the keywords ask for it.
    ///
    /// # Errors
    /// `CAT_INSUFFICIENT_PRIVILEGE_LEVEL` if a user who is no rodsadmin asks for it.
    pub fn acting(&self, keywords: &KeyValPair) -> Result<Identity, Failure> {
        let user = self.user()?;
        if keywords.has(keywords::IRODS_ADMIN) || keywords.has(keywords::IRODS_ADMIN_RM_TRASH) {
            return Ok(user.in_admin_mode()?);
        }
        Ok(user)
    }

    /// Closes all that is open; what was being written becomes stale.
    pub async fn end(&mut self) {
        for descriptor in self.descriptors.drain() {
            crate::api::close::abandon(&self.zone, descriptor).await;
        }
    }
}
