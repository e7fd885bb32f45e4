//! A password, and the file that keeps one.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use irods_protocol::auth::password_file;

use super::EnvironmentError;
use crate::tls;

/// A password; its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password {
    text: String,
    native: bool,
}

impl Password {
    /// A password as a user types it.
    pub fn new(password: impl Into<String>) -> Self {
        Password {
            text: password.into(),
            native: false,
        }
    }

    /// A password of iRODS itself, whatever the scheme: what a password file keeps, and what a server makes for PAM.
    pub fn native(password: impl Into<String>) -> Self {
        Password {
            text: password.into(),
            native: true,
        }
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_native(&self) -> bool {
        self.native
    }

    /// Writes a password file (`.irodsA`) that other iRODS clients read, readable for its owner alone. An old one is replaced
    /// as a whole or not at all. `uid` is the numeric id of the user who will read it.
    ///
    /// # Errors
    /// The password is longer than 42 bytes or has a NUL; the file cannot be written.
    pub fn save(&self, file: &Path, uid: u32) -> Result<(), EnvironmentError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.unwrap_or_default().as_secs();
        let content = password_file::encode(&self.text, uid, seconds, tls::random_byte());
        let content = content.map_err(|source| EnvironmentError::PasswordFile {
            file: file.to_owned(),
            source,
        })?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = file.with_file_name(name);
        let written = write(&new, &content, seconds).and_then(|()| fs::rename(&new, file));
        written.map_err(|source| {
            // What is left of it is of no use to anybody.
            let _ = fs::remove_file(&new);
            EnvironmentError::Unwritable {
                file: file.to_owned(),
                source,
            }
        })
    }
}

/// C++ clients compare the file's time with the one inside.
fn write(file: &Path, content: &[u8], seconds: u64) -> std::io::Result<()> {
    // Never through a link that somebody else laid.
    let _ = fs::remove_file(file);
    let mut out = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    out.set_permissions(Permissions::from_mode(0o600))?;
    out.write_all(content)?;
    out.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))?;
    out.sync_all()
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_for_its_owner_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".irodsA");
        std::fs::write(&file, "an old one, for everybody").unwrap();
        for password in ["rods", "", "a b'!/~"] {
            Password::new(password).save(&file, 1000).unwrap();
            let meta = std::fs::metadata(&file).unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
            let content = std::fs::read(&file).unwrap();
            assert_eq!(password_file::decode(&content, 1000).unwrap(), password);
            // The time inside is the file's.
            let seconds = u64::try_from(meta.mtime()).unwrap();
            let row = content[6] - b'e';
            let same = password_file::encode(password, 1000, seconds, row).unwrap();
            assert_eq!(content, same);
        }
        let before = std::fs::read(&file).unwrap();
        let error = Password::new("x".repeat(43)).save(&file, 1000).unwrap_err();
        assert!(error.to_string().contains("42 bytes"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        let nowhere = dir.path().join("no/.irodsA");
        let error = Password::new("s3cret").save(&nowhere, 0).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no/.irodsA") && !text.contains("s3cret"),
            "{text}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
