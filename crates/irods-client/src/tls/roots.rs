//! The certificates that are trusted: from the files of the environment, or the system's.

use std::fs;
use std::io::Read;
use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::environment::TlsSettings;
use crate::error::TlsFailure;

/// Most bytes of a file, and most files of a directory, that are read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
const MAX_FILES: usize = 10_000;

const CA_FILE: &str = "irods_ssl_ca_certificate_file";
const CA_PATH: &str = "irods_ssl_ca_certificate_path";

/// What is trusted.
#[derive(Debug)]
pub(super) struct Roots {
    /// As anchors of a chain.
    pub(super) store: RootCertStore,
    /// The same, to the byte: a server may present one of these itself.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Where they are from.
    pub(super) origin: String,
}

impl Roots {
    /// Nothing is trusted.
    pub(super) fn none() -> Roots {
        Roots {
            store: RootCertStore::empty(),
            certificates: Vec::new(),
            origin: String::new(),
        }
    }

    /// Reads the file, the directory, or both; without either, what the system has.
    pub(super) fn read(settings: &TlsSettings) -> Result<Roots, TlsFailure> {
        let mut certificates = Vec::new();
        let mut origins = Vec::new();
        if let Some(file) = &settings.ca_file {
            let found = read_file(file).map_err(|reason| wrong(CA_FILE, file, &reason))?;
            if found.is_empty() {
                return Err(wrong(CA_FILE, file, "it has no certificate in PEM form"));
            }
            certificates.extend(found);
            origins.push(format!("{CA_FILE} {}", file.display()));
        }
        if let Some(directory) = &settings.ca_path {
            let found =
                read_directory(directory).map_err(|reason| wrong(CA_PATH, directory, &reason))?;
            certificates.extend(found);
            origins.push(format!("{CA_PATH} {}", directory.display()));
        }
        if origins.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err(TlsFailure::Settings {
                    place: "this system has no trusted certificates".to_owned(),
                    reason: format!("set {CA_FILE} or {CA_PATH}"),
                });
            }
            certificates = found.certs;
            origins.push(format!("this system's certificates (no {CA_FILE} is set)"));
        }
        let mut store = RootCertStore::empty();
        // Some in a collection may be of an unknown kind; they anchor nothing.
        store.add_parsable_certificates(certificates.iter().cloned());
        Ok(Roots {
            store,
            certificates,
            origin: origins.join(" and "),
        })
    }
}

fn wrong(key: &str, path: &Path, reason: &str) -> TlsFailure {
    TlsFailure::Settings {
        place: format!("{key} is {}", path.display()),
        reason: reason.to_owned(),
    }
}

fn read_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut content = Vec::new();
    let mut opened = fs::File::open(file).map_err(|e| format!("it cannot be read: {e}"))?;
    opened
        .by_ref()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|e| format!("it cannot be read: {e}"))?;
    if content.len() as u64 > MAX_BYTES {
        return Err("it is too large for certificates".to_owned());
    }
    CertificateDer::pem_slice_iter(&content)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("it is damaged: {e}"))
}

/// All files of a directory that hold certificates; the names, which OpenSSL looks them up by, do not matter.
fn read_directory(directory: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let entries = fs::read_dir(directory).map_err(|e| format!("it cannot be read: {e}"))?;
    let mut files: Vec<_> = entries
        .take(MAX_FILES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let found = files.iter().filter_map(|file| read_file(file).ok());
    let mut certificates: Vec<_> = found.flatten().collect();
    certificates.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    certificates.dedup();
    if certificates.is_empty() {
        return Err("it has no file with a certificate in PEM form".to_owned());
    }
    Ok(certificates)
}
