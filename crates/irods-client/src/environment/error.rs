//! Why there is no usable environment. No secret is in such an error.

use std::io;
use std::path::PathBuf;

use irods_protocol::auth::password_file::PasswordFileError;

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
    /// The password file cannot be written.
    #[error("cannot write the password file {}: {source}", file.display())]
    Unwritable {
        /// Its path.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
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
