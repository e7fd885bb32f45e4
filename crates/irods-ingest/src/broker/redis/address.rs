//! Where a Redis is, from a URL: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, the same with `rediss://` for TLS, or
//! `redis+unix:///SOCKET[?db=N&user=U&pass=P]`. Percent-encoding is undone in user and password.
//!
//! Ours is `prefix=NAME` among the parameters after `?`: deployments with different prefixes share one database and see nothing
//! of each other. Celery's `redis+socket://` and its `ssl_...` parameters are understood as far as they mean the same;
//! certificates are always verified. Nothing that this module shows or complains about contains a password.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::broker::{BrokerError, Result};

/// The prefix of a deployment that names none.
const PREFIX: &str = "irods_sync";
const MAX_PREFIX: usize = 64;

/// The address of a Redis, its credentials and the prefix of the deployment.
#[derive(Clone)]
pub struct Address {
    pub(super) connection: ConnectionInfo,
    prefix: String,
    shown: String,
}

fn refused(what: &str) -> BrokerError {
    BrokerError::Invalid {
        what: format!(
            "this Redis address: {what}; redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://... and redis+unix:///SOCKET are accepted"
        ),
    }
}

impl Address {
    /// Host, port and database, for clients that know nothing else; `None` for a socket, which has no host.
    pub fn host_port_db(&self) -> Option<(String, u16, i64)> {
        let (host, port) = match self.connection.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), *port)
            }
            _ => return None,
        };
        Some((host, port, self.connection.redis_settings().db()))
    }

    /// Whether a text is meant as the address of a Redis.
    pub fn is_meant(url: &str) -> bool {
        matches!(
            url.split_once(':'),
            Some((
                "redis" | "rediss" | "redis+unix" | "redis+socket" | "unix",
                _
            ))
        )
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// [`BrokerError::Invalid`], which repeats nothing of the URL.
    pub fn parse(url: &str) -> Result<Self> {
        if !Self::is_meant(url) {
            return Err(refused("no such scheme"));
        }
        let url = url.replacen("redis+socket://", "redis+unix://", 1);
        let (base, query) = url.split_once('?').unwrap_or((&url, ""));
        if base.contains('#') || query.contains('#') {
            return Err(refused("there is a #"));
        }
        let mut prefix = PREFIX.to_owned();
        let mut kept = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("prefix", value) => prefix = value.to_owned(),
                ("virtual_host", value) => {
                    kept.push(format!("db={}", value.trim_start_matches('/')))
                }
                ("ssl_cert_reqs", "required" | "CERT_REQUIRED") => {}
                ("db" | "user" | "pass", _)
                    if base.starts_with("redis+unix") || base.starts_with("unix") =>
                {
                    kept.push(parameter.to_owned());
                }
                _ => return Err(refused("there is an unknown parameter after the ?")),
            }
        }
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.bytes().all(harmless) {
            return Err(refused("a prefix consists of letters, digits and _-."));
        }
        let url = match kept.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", kept.join("&")),
        };
        // What the parser says of an error may repeat the URL.
        let connection = url
            .as_str()
            .into_connection_info()
            .map_err(|_| refused("it cannot be read"))?;
        let database = connection.redis_settings().db();
        let place = match connection.addr() {
            ConnectionAddr::Tcp(host, port) => {
                format!("redis://{}:{port}/{database}", bracketed(host))
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                format!("rediss://{}:{port}/{database}", bracketed(host))
            }
            ConnectionAddr::Unix(path) => {
                format!("redis+unix://{}?db={database}", path.display())
            }
            _ => return Err(refused("no such kind of address")),
        };
        let shown = match (prefix.as_str(), place.contains('?')) {
            (PREFIX, _) => place,
            (other, true) => format!("{place}&prefix={other}"),
            (other, false) => format!("{place}?prefix={other}"),
        };
        Ok(Self {
            connection,
            prefix,
            shown,
        })
    }

    /// The address with words where it has a user or a password, for people to fill in.
    pub fn with_placeholders(&self) -> String {
        let redis = self.connection.redis_settings();
        match (redis.username().is_some(), redis.password().is_some()) {
            (false, false) => self.shown.clone(),
            (user, _) => match self.connection.addr() {
                ConnectionAddr::Unix(_) => {
                    let user = if user { "&user=USER" } else { "" };
                    format!("{}{user}&pass=PASSWORD", self.shown)
                }
                _ => {
                    let user = if user { "USER" } else { "" };
                    self.shown
                        .replacen("://", &format!("://{user}:PASSWORD@"), 1)
                }
            },
        }
    }

    /// What every key begins with. In braces, so that all keys of a deployment are in one slot where slots matter.
    pub(super) fn prefix(&self) -> String {
        format!("{{{}}}:", self.prefix)
    }
}

fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

/// Equal addresses lead to the same broker as the same user.
impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (
            self.connection.redis_settings(),
            other.connection.redis_settings(),
        );
        self.shown == other.shown && a.username() == b.username() && a.password() == b.password()
    }
}

impl Eq for Address {}

/// The address without credentials.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, shown) in [
            ("redis://h", "redis://h:6379/0"),
            ("redis://:secret@h:7/3", "redis://h:7/3"),
            ("redis://u:secr%40et@[::1]:7", "redis://[::1]:7/0"),
            (
                "rediss://u:secret@h/1?ssl_cert_reqs=required",
                "rediss://h:6379/1",
            ),
            (
                "redis+unix:///run/r.sock?db=2&user=u&pass=secret",
                "redis+unix:///run/r.sock?db=2",
            ),
            (
                "redis+socket:///run/r.sock?virtual_host=2",
                "redis+unix:///run/r.sock?db=2",
            ),
            ("redis://h/0?prefix=test", "redis://h:6379/0?prefix=test"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown).unwrap().to_string(), shown);
            assert!(!format!("{address:?}").contains("secr"));
        }
    }

    #[test]
    fn the_prefix_is_one_hash_tag() {
        let address = Address::parse("redis://h?prefix=a.b").unwrap();
        assert_eq!(address.prefix(), "{a.b}:");
    }

    #[test]
    fn nonsense_is_refused_and_not_repeated() {
        for url in [
            "amqp://u:secret@h",
            "redis://u:secret@h:port/0",
            "redis://u:secret@h/x",
            "redis://u:secret@h?prefix={}",
            "redis://u:secret@h?prefix=",
            "rediss://u:secret@h/#insecure",
            "rediss://u:secret@h/?ssl_cert_reqs=none",
            "redis://u:secret@h?what=secret",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(matches!(error, BrokerError::Invalid { .. }), "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
