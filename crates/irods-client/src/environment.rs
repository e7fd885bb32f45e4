//! Whom to talk to and as whom: `irods_environment.json`, `.irodsA` and the `IRODS_*` variables, as other iRODS clients
//! read them.
//!
//! Each key of the file can be overridden by the variable of its upper-case name; an empty variable counts as none. If
//! `IRODS_HOST`, `IRODS_PORT`, `IRODS_USER_NAME`, `IRODS_ZONE_NAME` and `IRODS_PASSWORD` are all set, no file is needed and
//! only one named by `IRODS_ENVIRONMENT_FILE` is read. No secret appears in a `Debug` form or in an error.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use irods_protocol::auth::password_file::{self, PasswordFileError};
use serde_json::{Map, Value};

/// Everything that a connection needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Host name or address.
    pub host: String,
    /// TCP port, 1247 if nothing is said.
    pub port: u16,
    /// User whose credentials are presented.
    pub user: String,
    /// That user's zone.
    pub zone: String,
    /// The password of `scheme`.
    pub password: Password,
    /// User on whose behalf calls run, if it is another one; `user` must then be a `rodsadmin`.
    pub client_user: Option<String>,
    /// The client user's zone; the zone of `user` if not given.
    pub client_zone: Option<String>,
    /// Authentication scheme by its name in `irods_authentication_scheme`, lower case.
    pub scheme: String,
    /// Home collection.
    pub home: Option<String>,
    /// Resource for new data objects where a call names none.
    pub default_resource: Option<String>,
    /// Whether and how to ask for TLS.
    pub tls: TlsPolicy,
    /// The zone's checksums, `irods_default_hash_scheme`.
    pub hash_scheme: HashScheme,
}

/// What the client says in the negotiation about TLS (`irods_client_server_policy`, where
/// `irods_client_server_negotiation` asks for one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsPolicy {
    /// No negotiation: plain TCP.
    #[default]
    Off,
    /// `CS_NEG_REFUSE`.
    Refuse,
    /// `CS_NEG_DONT_CARE`.
    DontCare,
    /// `CS_NEG_REQUIRE`.
    Require,
}

impl TlsPolicy {
    /// The keyword on the wire.
    pub fn keyword(self) -> &'static str {
        match self {
            TlsPolicy::Off | TlsPolicy::Refuse => "CS_NEG_REFUSE",
            TlsPolicy::DontCare => "CS_NEG_DONT_CARE",
            TlsPolicy::Require => "CS_NEG_REQUIRE",
        }
    }
}

/// Which checksums a zone computes by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashScheme {
    /// `SHA256`: `sha2:` and base64.
    #[default]
    Sha256,
    /// `MD5`: hexadecimal.
    Md5,
}

/// A password; its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

impl Password {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Password(password.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(..)")
    }
}

/// Why there is no usable environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file that is named, or needed, cannot be read.
    #[error("cannot read the {what} {}: {source}", file.display())]
    Unreadable {
        /// Which file: `environment file` or `password file`.
        what: &'static str,
        /// Its path.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The environment file is not JSON.
    #[error("{}: not JSON at line {line}, column {column}", file.display())]
    NotJson {
        /// Its path.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
    },
    /// The environment file is JSON, but no object.
    #[error("{}: a JSON object with keys such as \"irods_host\" is needed", file.display())]
    NotAnObject {
        /// Its path.
        file: PathBuf,
    },
    /// A value that cannot be what its key needs.
    #[error("{place}: {expected} is needed")]
    BadValue {
        /// Key and file, or variable.
        place: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// Something without a default is nowhere to be found.
    #[error("no {key}: set it in {}, or the variable {variable}", file.display())]
    Missing {
        /// Key of the environment file.
        key: &'static str,
        /// The variable that would do as well.
        variable: String,
        /// The environment file, whether it exists or not.
        file: PathBuf,
    },
    /// There is no password.
    #[error("no password: neither the variable IRODS_PASSWORD nor the file {} is there (iinit writes it)", file.display())]
    NoPassword {
        /// The password file that was looked for.
        file: PathBuf,
    },
    /// The password file is none.
    #[error("{}: {source}", file.display())]
    PasswordFile {
        /// Its path.
        file: PathBuf,
        /// Why.
        source: PasswordFileError,
    },
    /// A file is looked for under the home directory, and there is none.
    #[error("the variable HOME is not set, so {file} cannot be found; name it by {variable}")]
    NoHome {
        /// The file, relative to the home directory.
        file: &'static str,
        /// The variable that names the file directly.
        variable: &'static str,
    },
}

/// What the environment is read from, apart from files.
pub struct Sources<'a> {
    /// Looks up a variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Numeric user id, which the password file is bound to.
    pub uid: u32,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sources")
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

const ENVIRONMENT_FILE: &str = ".irods/irods_environment.json";
const PASSWORD_FILE: &str = ".irods/.irodsA";
/// The port that iRODS servers listen on unless told otherwise.
pub const DEFAULT_PORT: u16 = 1247;
/// All of these set and not empty: direct login, no file needed.
const DIRECT: [&str; 5] = [
    "IRODS_HOST",
    "IRODS_PORT",
    "IRODS_USER_NAME",
    "IRODS_ZONE_NAME",
    "IRODS_PASSWORD",
];

impl Environment {
    /// An environment without files and variables, native authentication, plain TCP.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        user: impl Into<String>,
        zone: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Environment {
            host: host.into(),
            port,
            user: user.into(),
            zone: zone.into(),
            password: Password::new(password),
            client_user: None,
            client_zone: None,
            scheme: "native".to_owned(),
            home: None,
            default_resource: None,
            tls: TlsPolicy::Off,
            hash_scheme: HashScheme::default(),
        }
    }

    /// The environment of this process.
    ///
    /// # Errors
    /// A file or value that is missing or wrong; the error names it.
    pub fn load() -> Result<Self, EnvironmentError> {
        Self::read(&Sources {
            variable: &|name| std::env::var(name).ok(),
            uid: rustix::process::getuid().as_raw(),
        })
    }

    /// The environment of other variables than this process's.
    ///
    /// # Errors
    /// A file or value that is missing or wrong; the error names it.
    pub fn read(sources: &Sources<'_>) -> Result<Self, EnvironmentError> {
        let settings = Settings::read(sources)?;
        let user = settings.needed("irods_user_name")?;
        let password = settings.password(&user)?;
        let zone = settings.needed("irods_zone_name")?;
        Ok(Environment {
            host: settings.needed("irods_host")?,
            port: settings.port()?,
            password,
            // The only two names that are not the upper case of a key; C++ clients have no key for them.
            client_user: variable(sources, "clientUserName"),
            client_zone: variable(sources, "clientRodsZone"),
            scheme: settings
                .text("irods_authentication_scheme")?
                .unwrap_or_else(|| "native".to_owned())
                .to_ascii_lowercase(),
            home: settings.text("irods_home")?,
            default_resource: settings.text("irods_default_resource")?,
            tls: settings.tls()?,
            hash_scheme: settings.hash_scheme()?,
            user,
            zone,
        })
    }

    /// `host:port`.
    pub fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same environment, acting for another user (which `user`, a `rodsadmin`, may do).
    #[must_use]
    pub fn acting_for(&self, user: &str, zone: &str) -> Self {
        Environment {
            client_user: Some(user.to_owned()),
            client_zone: Some(zone.to_owned()),
            ..self.clone()
        }
    }
}

/// The file's keys and the variables that override them.
struct Settings<'a> {
    sources: &'a Sources<'a>,
    file: PathBuf,
    keys: Map<String, Value>,
}

impl<'a> Settings<'a> {
    fn read(sources: &'a Sources<'a>) -> Result<Self, EnvironmentError> {
        let named = variable(sources, "IRODS_ENVIRONMENT_FILE");
        let direct = DIRECT.iter().all(|v| variable(sources, v).is_some());
        let (file, must_exist) = match named {
            Some(file) => (expand(sources, &file), true),
            None if direct => (PathBuf::from(ENVIRONMENT_FILE), false),
            None => (
                home(sources, ENVIRONMENT_FILE, "IRODS_ENVIRONMENT_FILE")?,
                false,
            ),
        };
        let keys = if direct && !must_exist {
            Map::new()
        } else {
            read_keys(&file, must_exist)?
        };
        Ok(Settings {
            sources,
            file,
            keys,
        })
    }

    /// The value of a key or of its variable, with where it came from.
    fn value(&self, key: &str) -> Option<(Value, String)> {
        let name = key.to_ascii_uppercase();
        if let Some(text) = variable(self.sources, &name) {
            return Some((Value::from(text), format!("the variable {name}")));
        }
        let value = self.keys.get(key)?;
        Some((value.clone(), format!("{key} in {}", self.file.display())))
    }

    fn text(&self, key: &str) -> Result<Option<String>, EnvironmentError> {
        match self.value(key) {
            None => Ok(None),
            Some((Value::String(text), _)) if text.is_empty() => Ok(None),
            Some((Value::String(text), place)) => {
                if text.contains('\0') {
                    return Err(EnvironmentError::BadValue {
                        place,
                        expected: "a text without NUL",
                    });
                }
                Ok(Some(text))
            }
            Some((_, place)) => Err(EnvironmentError::BadValue {
                place,
                expected: "a text",
            }),
        }
    }

    fn needed(&self, key: &'static str) -> Result<String, EnvironmentError> {
        self.text(key)?.ok_or_else(|| EnvironmentError::Missing {
            key,
            variable: key.to_ascii_uppercase(),
            file: self.file.clone(),
        })
    }

    fn number(&self, key: &str, expected: &'static str) -> Result<Option<u64>, EnvironmentError> {
        let Some((value, place)) = self.value(key) else {
            return Ok(None);
        };
        let number = match &value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        number
            .map(Some)
            .ok_or(EnvironmentError::BadValue { place, expected })
    }

    fn port(&self) -> Result<u16, EnvironmentError> {
        let expected = "a port number from 1 to 65535";
        let Some(number) = self.number("irods_port", expected)? else {
            return Ok(DEFAULT_PORT);
        };
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(EnvironmentError::BadValue {
                place: self.value("irods_port").map_or_else(String::new, |v| v.1),
                expected,
            }),
        }
    }

    fn tls(&self) -> Result<TlsPolicy, EnvironmentError> {
        let asked = self.text("irods_client_server_negotiation")?;
        if asked.as_deref() != Some("request_server_negotiation") {
            return Ok(TlsPolicy::Off);
        }
        match self.text("irods_client_server_policy")?.as_deref() {
            None | Some("CS_NEG_REFUSE") => Ok(TlsPolicy::Refuse),
            Some("CS_NEG_DONT_CARE") => Ok(TlsPolicy::DontCare),
            Some("CS_NEG_REQUIRE") => Ok(TlsPolicy::Require),
            Some(_) => Err(EnvironmentError::BadValue {
                place: self
                    .value("irods_client_server_policy")
                    .map_or_else(String::new, |v| v.1),
                expected: "CS_NEG_REFUSE, CS_NEG_DONT_CARE or CS_NEG_REQUIRE",
            }),
        }
    }

    fn hash_scheme(&self) -> Result<HashScheme, EnvironmentError> {
        let key = "irods_default_hash_scheme";
        match self.text(key)?.map(|s| s.to_ascii_uppercase()).as_deref() {
            None | Some("SHA256") => Ok(HashScheme::Sha256),
            Some("MD5") => Ok(HashScheme::Md5),
            Some(_) => Err(EnvironmentError::BadValue {
                place: self.value(key).map_or_else(String::new, |v| v.1),
                expected: "SHA256 or MD5 (others cannot be computed here)",
            }),
        }
    }

    fn password(&self, user: &str) -> Result<Password, EnvironmentError> {
        if let Some(password) = variable(self.sources, "IRODS_PASSWORD") {
            return Ok(Password(password));
        }
        if user == "anonymous" {
            return Ok(Password::default());
        }
        let file = match self.text("irods_authentication_file")? {
            Some(file) => expand(self.sources, &file),
            None => home(self.sources, PASSWORD_FILE, "IRODS_AUTHENTICATION_FILE")?,
        };
        let content = match std::fs::read(&file) {
            Ok(content) => content,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(EnvironmentError::NoPassword { file });
            }
            Err(source) => {
                return Err(EnvironmentError::Unreadable {
                    what: "password file",
                    file,
                    source,
                });
            }
        };
        // python-irodsclient knows this key for files of another user id (containers).
        let uid = self.number("irods_authentication_uid", "a numeric user id")?;
        let uid = uid.and_then(|uid| u32::try_from(uid).ok());
        password_file::decode(&content, uid.unwrap_or(self.sources.uid))
            .map(Password)
            .map_err(|source| EnvironmentError::PasswordFile { file, source })
    }
}

fn variable(sources: &Sources<'_>, name: &str) -> Option<String> {
    (sources.variable)(name).filter(|value| !value.is_empty())
}

fn home(
    sources: &Sources<'_>,
    file: &'static str,
    name: &'static str,
) -> Result<PathBuf, EnvironmentError> {
    let home = variable(sources, "HOME").ok_or(EnvironmentError::NoHome {
        file,
        variable: name,
    })?;
    Ok(Path::new(&home).join(file))
}

/// A path whose leading `~/` is the home directory.
fn expand(sources: &Sources<'_>, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), variable(sources, "HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn read_keys(file: &Path, must_exist: bool) -> Result<Map<String, Value>, EnvironmentError> {
    let content = match std::fs::read(file) {
        Ok(content) => content,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(Map::new()),
        Err(source) => {
            return Err(EnvironmentError::Unreadable {
                what: "environment file",
                file: file.to_owned(),
                source,
            });
        }
    };
    match serde_json::from_slice(&content) {
        Ok(Value::Object(keys)) => Ok(keys),
        Ok(_) => Err(EnvironmentError::NotAnObject {
            file: file.to_owned(),
        }),
        Err(e) => Err(EnvironmentError::NotJson {
            file: file.to_owned(),
            line: e.line(),
            column: e.column(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(home: &Path, vars: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let home = home.to_str().unwrap().to_owned();
        Environment::read(&Sources {
            variable: &|name| {
                let found = vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
                let home = (name == "HOME").then_some(&*home);
                found.copied().or(home).map(str::to_owned)
            },
            uid: 1000,
        })
    }

    fn directory(environment: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".irods")).unwrap();
        std::fs::write(dir.path().join(ENVIRONMENT_FILE), environment).unwrap();
        dir
    }

    const FULL: &str = r#"{"irods_host":"h","irods_port":1300,"irods_user_name":"u","irods_zone_name":"z",
        "irods_default_resource":"r","irods_home":"/z/home/u","unknown":[1]}"#;

    #[test]
    fn files_as_icommands_leave_them() {
        let dir = directory(FULL);
        let hidden = password_file::encode("s3cret", 1000, 1_700_000_000, 5).unwrap();
        std::fs::write(dir.path().join(PASSWORD_FILE), hidden).unwrap();
        let env = read(dir.path(), &[]).unwrap();
        assert_eq!((env.host.as_str(), env.port), ("h", 1300));
        assert_eq!(env.password.reveal(), "s3cret");
        assert_eq!(env.default_resource.as_deref(), Some("r"));
        assert!(!format!("{env:?}").contains("s3cret"));
    }

    #[test]
    fn variables_override_keys_and_empty_ones_do_not() {
        let dir = directory(FULL);
        let vars = [
            ("IRODS_HOST", "other"),
            ("IRODS_ZONE_NAME", ""),
            ("IRODS_PASSWORD", "p"),
            ("IRODS_PORT", "1400"),
        ];
        let env = read(dir.path(), &vars).unwrap();
        assert_eq!((env.host.as_str(), env.port), ("other", 1400));
        assert_eq!(env.zone, "z");
        assert_eq!(env.password.reveal(), "p");
    }

    #[test]
    fn five_variables_need_no_file_but_a_named_one_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let mut vars = vec![
            ("IRODS_HOST", "h"),
            ("IRODS_PORT", "1"),
            ("IRODS_USER_NAME", "u"),
            ("IRODS_ZONE_NAME", "z"),
            ("IRODS_PASSWORD", "p"),
        ];
        assert_eq!(read(dir.path(), &vars).unwrap().user, "u");
        vars.push(("IRODS_ENVIRONMENT_FILE", "/nowhere/env.json"));
        let error = read(dir.path(), &vars).unwrap_err().to_string();
        assert!(error.contains("/nowhere/env.json"), "{error}");
    }

    #[test]
    fn errors_name_the_place() {
        let text = |environment: &str, vars: &[(&str, &str)]| {
            let dir = directory(environment);
            read(dir.path(), vars).unwrap_err().to_string()
        };
        assert!(text("{", &[]).contains("irods_environment.json: not JSON at line 1"));
        assert!(text("[]", &[]).contains("JSON object"));
        let missing = text("{}", &[]);
        assert!(missing.contains("no irods_user_name") && missing.contains("IRODS_USER_NAME"));
        assert!(text(FULL, &[]).contains(".irods/.irodsA"));
        let port = text(FULL, &[("IRODS_PORT", "0"), ("IRODS_PASSWORD", "s3cret")]);
        assert!(port.contains("the variable IRODS_PORT") && !port.contains("s3cret"));
        let kind = FULL.replace("\"h\"", "7");
        assert!(text(&kind, &[("IRODS_PASSWORD", "p")]).contains("irods_host in "));
        let dir = directory(FULL);
        std::fs::write(dir.path().join(PASSWORD_FILE), "clear text").unwrap();
        let error = read(dir.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains(".irodsA") && !error.contains("clear text"),
            "{error}"
        );
    }

    #[test]
    fn tls_is_asked_for_by_both_keys() {
        let with = |keys: &str| {
            let dir = directory(&FULL.replace("\"unknown\":[1]", keys));
            read(dir.path(), &[("IRODS_PASSWORD", "p")]).map(|e| e.tls)
        };
        let asked = r#""irods_client_server_negotiation":"request_server_negotiation""#;
        let require = r#""irods_client_server_policy":"CS_NEG_REQUIRE""#;
        assert_eq!(with(require).unwrap(), TlsPolicy::Off);
        assert_eq!(
            with(&format!("{asked},{require}")).unwrap(),
            TlsPolicy::Require
        );
        let bad = with(&format!(r#"{asked},"irods_client_server_policy":"x""#));
        assert!(bad.unwrap_err().to_string().contains("CS_NEG_DONT_CARE"));
    }
}
