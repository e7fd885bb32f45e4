//! Whom to talk to and as whom: `irods_environment.json`, `.irodsA` and the `IRODS_*` variables, as other iRODS clients
//! read them.
//!
//! Each key of the file can be overridden by the variable of its upper-case name; an empty variable counts as none. If
//! `IRODS_HOST`, `IRODS_PORT`, `IRODS_USER_NAME`, `IRODS_ZONE_NAME` and `IRODS_PASSWORD` are all set, no file is needed and
//! only one named by `IRODS_ENVIRONMENT_FILE` is read. No secret appears in a `Debug` form or in an error.

use std::fmt;

use irods_protocol::Form;

mod error;
mod password;
mod settings;
mod tls;

pub use error::EnvironmentError;
pub use password::Password;
use settings::{Settings, variable};
pub use tls::{TlsPolicy, TlsSettings, VerifyServer};

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
    /// The password of `scheme`, or of the native one where it comes from a password file.
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
    /// Whether to ask for TLS.
    pub tls: TlsPolicy,
    /// How TLS is done then.
    pub tls_settings: TlsSettings,
    /// The zone's checksums, `irods_default_hash_scheme`.
    pub hash_scheme: HashScheme,
    /// Wire form, `irods_client_packing` (a setting of this client alone); nothing: as [`crate::ConnectOptions`] has it.
    pub form: Option<Form>,
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

/// The port that iRODS servers listen on unless told otherwise.
pub const DEFAULT_PORT: u16 = 1247;

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
            tls_settings: TlsSettings::default(),
            hash_scheme: HashScheme::default(),
            form: None,
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
            tls_settings: settings.tls_settings()?,
            hash_scheme: settings.hash_scheme()?,
            form: settings.form()?,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use irods_protocol::auth::password_file;

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
        std::fs::write(
            dir.path().join(".irods/irods_environment.json"),
            environment,
        )
        .unwrap();
        dir
    }

    const FULL: &str = r#"{"irods_host":"h","irods_port":1300,"irods_user_name":"u","irods_zone_name":"z",
        "irods_default_resource":"r","irods_home":"/z/home/u","unknown":[1]}"#;

    #[test]
    fn files_as_icommands_leave_them() {
        let dir = directory(FULL);
        let hidden = password_file::encode("s3cret", 1000, 1_700_000_000, 5).unwrap();
        std::fs::write(dir.path().join(".irods/.irodsA"), hidden).unwrap();
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
        std::fs::write(dir.path().join(".irods/.irodsA"), "clear text").unwrap();
        let error = read(dir.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains(".irodsA") && !error.contains("clear text"),
            "{error}"
        );
    }

    #[test]
    fn tls_settings_are_read_and_checked() {
        let with = |keys: &str| {
            let dir = directory(&FULL.replace("\"unknown\":[1]", keys));
            let env = read(dir.path(), &[("IRODS_PASSWORD", "p")]);
            (env.map(|e| e.tls_settings), dir)
        };
        let (settings, _) = with("\"x\":1");
        assert_eq!(settings.unwrap(), TlsSettings::default());
        let (settings, dir) = with(
            r#""irods_ssl_verify_server":"cert","irods_ssl_ca_certificate_file":"~/ca.pem",
            "irods_ssl_ca_certificate_path":"/etc/ca","irods_encryption_algorithm":"AES-128-CBC",
            "irods_encryption_key_size":16,"irods_encryption_salt_size":"4","irods_encryption_num_hash_rounds":8"#,
        );
        let expected = TlsSettings {
            verify: VerifyServer::Certificate,
            ca_file: Some(dir.path().join("ca.pem")),
            ca_path: Some("/etc/ca".into()),
            algorithm: "AES-128-CBC".into(),
            key_size: 16,
            salt_size: 4,
            hash_rounds: 8,
        };
        assert_eq!(settings.unwrap(), expected);
        for (bad, accepted) in [
            (
                r#""irods_ssl_verify_server":"maybe""#,
                "none, cert or hostname",
            ),
            (r#""irods_encryption_key_size":0"#, "from 1 to 65535"),
            (r#""irods_encryption_salt_size":70000"#, "from 1 to 65535"),
        ] {
            let (settings, _) = with(bad);
            let text = settings.unwrap_err().to_string();
            assert!(text.contains(accepted) && text.contains("irods_"), "{text}");
        }
    }

    #[test]
    fn a_packing_is_taken_from_file_or_variable() {
        let read = |keys: &str, vars: &[(&str, &str)]| {
            let dir = directory(&FULL.replace("\"unknown\":[1]", keys));
            let vars = [vars, &[("IRODS_PASSWORD", "p")]].concat();
            read(dir.path(), &vars).map(|e| e.form)
        };
        let xml = r#""irods_client_packing":"xml""#;
        let native = ("IRODS_CLIENT_PACKING", "Native");
        assert_eq!(read("\"x\":1", &[]).unwrap(), None);
        assert_eq!(read(xml, &[]).unwrap(), Some(Form::Xml));
        assert_eq!(read(xml, &[native]).unwrap(), Some(Form::Native));
        let bad = read(&xml.replace("\"xml", "\"json"), &[]).unwrap_err();
        assert!(bad.to_string().contains("xml or native"), "{bad}");
    }

    #[test]
    fn only_a_password_file_keeps_passwords_of_irods() {
        let dir = directory(FULL);
        let file = dir.path().join(".irods/.irodsA");
        Password::new("s3cret").save(&file, 1000).unwrap();
        let stored = read(dir.path(), &[]).unwrap().password;
        assert!(stored.is_native() && stored.reveal() == "s3cret");
        let typed = read(dir.path(), &[("IRODS_PASSWORD", "p")])
            .unwrap()
            .password;
        assert!(!typed.is_native());
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
