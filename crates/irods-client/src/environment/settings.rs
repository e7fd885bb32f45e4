//! Where a setting comes from: a key of the environment file, or the variable that overrides it; and the password file.

use std::io;
use std::path::{Path, PathBuf};

use irods_protocol::Form;
use irods_protocol::auth::password_file;
use serde_json::{Map, Value};

use super::{
    DEFAULT_PORT, EnvironmentError, HashScheme, Password, Sources, TlsPolicy, TlsSettings,
    VerifyServer,
};

const ENVIRONMENT_FILE: &str = ".irods/irods_environment.json";
const PASSWORD_FILE: &str = ".irods/.irodsA";
/// All of these set and not empty: direct login, no file needed.
const DIRECT: [&str; 5] = [
    "IRODS_HOST",
    "IRODS_PORT",
    "IRODS_USER_NAME",
    "IRODS_ZONE_NAME",
    "IRODS_PASSWORD",
];

/// The file's keys and the variables that override them.
pub(super) struct Settings<'a> {
    sources: &'a Sources<'a>,
    file: PathBuf,
    keys: Map<String, Value>,
}

impl<'a> Settings<'a> {
    pub(super) fn read(sources: &'a Sources<'a>) -> Result<Self, EnvironmentError> {
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

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, EnvironmentError> {
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

    pub(super) fn needed(&self, key: &'static str) -> Result<String, EnvironmentError> {
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

    pub(super) fn port(&self) -> Result<u16, EnvironmentError> {
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

    pub(super) fn tls(&self) -> Result<TlsPolicy, EnvironmentError> {
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

    pub(super) fn tls_settings(&self) -> Result<TlsSettings, EnvironmentError> {
        let default = TlsSettings::default();
        let key = "irods_ssl_verify_server";
        let verify = match self.text(key)?.as_deref() {
            None => default.verify,
            Some("none") => VerifyServer::None,
            Some("cert") => VerifyServer::Certificate,
            Some("hostname") => VerifyServer::HostName,
            Some(_) => {
                return Err(EnvironmentError::BadValue {
                    place: self.value(key).map_or_else(String::new, |v| v.1),
                    expected: "none, cert or hostname",
                });
            }
        };
        let path = |key| Ok(self.text(key)?.map(|path| expand(self.sources, &path)));
        let size = |key: &str, default: u16| {
            let expected = "a number from 1 to 65535";
            let number = self.number(key, expected)?.unwrap_or(default.into());
            match u16::try_from(number) {
                Ok(size) if size > 0 => Ok(size),
                _ => Err(EnvironmentError::BadValue {
                    place: self.value(key).map_or_else(String::new, |v| v.1),
                    expected,
                }),
            }
        };
        Ok(TlsSettings {
            verify,
            ca_file: path("irods_ssl_ca_certificate_file")?,
            ca_path: path("irods_ssl_ca_certificate_path")?,
            algorithm: self
                .text("irods_encryption_algorithm")?
                .unwrap_or(default.algorithm),
            key_size: size("irods_encryption_key_size", default.key_size)?,
            salt_size: size("irods_encryption_salt_size", default.salt_size)?,
            hash_rounds: size("irods_encryption_num_hash_rounds", default.hash_rounds)?,
        })
    }

    pub(super) fn hash_scheme(&self) -> Result<HashScheme, EnvironmentError> {
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

    pub(super) fn form(&self) -> Result<Option<Form>, EnvironmentError> {
        let key = "irods_client_packing";
        match self.text(key)?.map(|s| s.to_ascii_lowercase()).as_deref() {
            None => Ok(None),
            Some("xml") => Ok(Some(Form::Xml)),
            Some("native") => Ok(Some(Form::Native)),
            Some(_) => Err(EnvironmentError::BadValue {
                place: self.value(key).map_or_else(String::new, |v| v.1),
                expected: "xml or native",
            }),
        }
    }

    pub(super) fn password(&self, user: &str) -> Result<Password, EnvironmentError> {
        if let Some(password) = variable(self.sources, "IRODS_PASSWORD") {
            return Ok(Password::new(password));
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
            .map(Password::native)
            .map_err(|source| EnvironmentError::PasswordFile { file, source })
    }
}

pub(super) fn variable(sources: &Sources<'_>, name: &str) -> Option<String> {
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
