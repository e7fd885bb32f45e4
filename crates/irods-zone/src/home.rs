//! The directory of a zone: what lies in it, who may serve it, and how clients find their way in.
//!
//! ```text
//! DIR/catalog.sqlite           the catalog
//! DIR/Vault/                   files of the resource demoResc
//! DIR/zone.lock                locked by the process that serves DIR; says where it listens
//! DIR/password                 the administrator's password                              (0600)
//! DIR/irods_environment.json   how to connect; names the next one by its absolute path
//! DIR/.irodsA                  the password as iRODS clients keep it                     (0600)
//! DIR/tls_*.pem                a certificate that the zone made for itself (see `tls`)   (0600)
//! ```
//!
//! Invariant: one process serves a directory at a time. The lock is the operating system's, so it
//! ends with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use irods_protocol::auth::password_file;
use serde_json::{Value, json};

/// A zone that another process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Host to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Environment file that lets clients in.
    pub environment_file: PathBuf,
}

/// Why a directory cannot be served.
#[derive(Debug)]
pub(crate) enum HomeError {
    /// Another process serves it. It may still be starting, then nothing is known of it.
    Served(Option<Running>),
    /// It cannot be made, read or written.
    Io { path: PathBuf, source: io::Error },
}

/// A directory that this process serves.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    lock: File,
}

/// How clients connect: what goes into the environment file.
pub(crate) struct Entrance<'a> {
    pub host: &'a str,
    pub port: u16,
    pub zone: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    /// With TLS: the file of what is to be trusted, if it is not among what the system trusts.
    pub tls: Option<Option<&'a Path>>,
}

impl Home {
    /// Makes the directory if needed and takes its lock.
    pub fn take(dir: &Path) -> Result<Self, HomeError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| HomeError::Io { path, source }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(fail(dir))?;
        let dir = dir.canonicalize().map_err(fail(dir))?;
        let path = dir.join("zone.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HomeError::Served(running(&dir, &mut lock)));
            }
            Err(TryLockError::Error(source)) => return Err(HomeError::Io { path, source }),
        }
        lock.set_len(0).map_err(fail(&path))?;
        Ok(Self { dir, lock })
    }

    /// The catalog file.
    pub fn catalog(&self) -> PathBuf {
        self.dir.join("catalog.sqlite")
    }

    /// The vault of the first resource.
    pub fn vault(&self) -> PathBuf {
        self.dir.join("Vault")
    }

    /// The environment file of clients.
    pub fn environment_file(&self) -> PathBuf {
        self.dir.join("irods_environment.json")
    }

    /// The port of the last time, if the environment file tells.
    pub fn remembered_port(&self) -> Option<u16> {
        let text = std::fs::read_to_string(self.environment_file()).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        u16::try_from(value.get("irods_port")?.as_u64()?).ok()
    }

    /// Writes what clients need, and into the lock file where the zone listens.
    pub fn open_door(&mut self, to: &Entrance<'_>) -> Result<(), HomeError> {
        let password = self.dir.join("password");
        self.write_private(&password, format!("{}\n", to.password).as_bytes(), None)?;

        let secret = self.dir.join(".irodsA");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        let uid = rustix::process::getuid().as_raw();
        let scrambled =
            password_file::encode(to.password, uid, now, rand::random()).map_err(|error| {
                HomeError::Io {
                    path: secret.clone(),
                    source: io::Error::other(error),
                }
            })?;
        // Clients compare the time inside with the file's own.
        self.write_private(
            &secret,
            &scrambled,
            Some(UNIX_EPOCH + Duration::from_secs(now)),
        )?;

        let home = format!("/{}/home/{}", to.zone, to.user);
        let mut environment = json!({
            "irods_host": to.host,
            "irods_port": to.port,
            "irods_user_name": to.user,
            "irods_zone_name": to.zone,
            "irods_home": home,
            "irods_cwd": home,
            "irods_authentication_scheme": "native",
            "irods_authentication_file": secret.to_string_lossy(),
            "irods_client_server_policy": if to.tls.is_some() { "CS_NEG_REQUIRE" } else { "CS_NEG_REFUSE" },
            "irods_default_hash_scheme": "SHA256",
            "irods_match_hash_policy": "compatible",
        });
        if let Some(authorities) = to.tls {
            environment["irods_client_server_negotiation"] = json!("request_server_negotiation");
            environment["irods_ssl_verify_server"] = json!("hostname");
            // The parameters that all clients have as defaults; python-irodsclient wants them said.
            environment["irods_encryption_algorithm"] = json!("AES-256-CBC");
            environment["irods_encryption_key_size"] = json!(32);
            environment["irods_encryption_salt_size"] = json!(8);
            environment["irods_encryption_num_hash_rounds"] = json!(16);
            if let Some(file) = authorities {
                environment["irods_ssl_ca_certificate_file"] = json!(file.to_string_lossy());
            }
        }
        let text = format!("{environment:#}\n");
        self.write_private(&self.environment_file(), text.as_bytes(), None)?;

        let path = self.dir.join("zone.lock");
        let line = format!("{} {}\n", to.port, to.host);
        self.lock
            .rewind()
            .and_then(|()| self.lock.write_all(line.as_bytes()))
            .map_err(|source| HomeError::Io { path, source })
    }

    /// Replaces a file as a whole; nobody but the owner may read it.
    pub fn write_private(
        &self,
        path: &Path,
        content: &[u8],
        modified: Option<SystemTime>,
    ) -> Result<(), HomeError> {
        let beside = path.with_added_extension("new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(content)?;
            if let Some(time) = modified {
                file.set_modified(time)?;
            }
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|source| HomeError::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// Where the process that holds the lock listens.
fn running(dir: &Path, lock: &mut File) -> Option<Running> {
    let mut line = String::new();
    lock.take(1024).read_to_string(&mut line).ok()?;
    let (port, host) = line.strip_suffix('\n')?.split_once(' ')?;
    Some(Running {
        host: host.to_owned(),
        port: port.parse().ok()?,
        environment_file: dir.join("irods_environment.json"),
    })
}

/// The password in a file: its first line, without the end of the line.
pub(crate) fn read_password(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(1024).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A password that nobody knows yet.
pub(crate) fn generate_password() -> String {
    use rand::seq::IndexedRandom;
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..24)
        .filter_map(|_| LETTERS.choose(&mut random))
        .map(|&b| char::from(b))
        .collect()
}

/// The host by which clients reach an address.
pub(crate) fn host_of(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
    }
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return "localhost".to_owned();
    }
    address.ip().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_process_learns_where_the_first_listens() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("zone");
        let mut home = Home::take(&dir).unwrap();
        assert!(matches!(Home::take(&dir), Err(HomeError::Served(None))));
        let to = Entrance {
            host: "127.0.0.1",
            port: 4711,
            zone: "z",
            user: "u",
            password: "secret",
            tls: None,
        };
        home.open_door(&to).unwrap();
        let Err(HomeError::Served(Some(running))) = Home::take(&dir) else {
            panic!("taken twice")
        };
        assert_eq!((running.host.as_str(), running.port), ("127.0.0.1", 4711));
        drop(home);
        assert_eq!(Home::take(&dir).unwrap().remembered_port(), Some(4711));
    }

    #[test]
    fn secrets_are_for_their_owner_and_clients_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut home = Home::take(dir.path()).unwrap();
        let to = Entrance {
            host: "h",
            port: 1,
            zone: "z",
            user: "u",
            password: "secret",
            tls: None,
        };
        home.open_door(&to).unwrap();
        for name in ["password", ".irodsA", "irods_environment.json"] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let uid = rustix::process::getuid().as_raw();
        let content = std::fs::read(dir.path().join(".irodsA")).unwrap();
        assert_eq!(password_file::decode(&content, uid).unwrap(), "secret");
        assert_eq!(
            read_password(&dir.path().join("password")).unwrap(),
            "secret"
        );
        assert_eq!(generate_password().len(), 24);
    }
}
