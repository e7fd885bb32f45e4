//! Certificate and key: read from PEM files, or made.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::home::{Home, HomeError};
use crate::zone::StartError;

/// Longest PEM file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a server shows, and the key that proves it.
pub(super) struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// The file of the certificate, for errors.
    pub path: PathBuf,
    /// File with what clients have to trust.
    pub authorities: Option<PathBuf>,
}

fn wrong(path: &Path, reason: impl std::fmt::Display) -> StartError {
    StartError::Tls {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl Identity {
    /// Of the site. If its chain ends with a self-signed certificate, that is what clients trust.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, StartError> {
        let path = chain
            .canonicalize()
            .map_err(|error| wrong(chain, format!("it cannot be read: {error}")))?;
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&content(&path)?)
                .collect::<Result<_, _>>()
                .map_err(|error| wrong(&path, format!("it is damaged: {error}")))?;
        let Some(last) = certificates.last() else {
            return Err(wrong(&path, "it has no certificate in PEM form"));
        };
        let (_, parsed) = X509Certificate::from_der(last)
            .map_err(|error| wrong(&path, format!("it is damaged: {error}")))?;
        let self_signed = parsed.issuer() == parsed.subject();
        let private = PrivateKeyDer::from_pem_slice(&content(key)?)
            .map_err(|error| wrong(key, format!("it has no private key in PEM form: {error}")))?;
        Ok(Self {
            authorities: self_signed.then(|| path.clone()),
            chain: certificates,
            key: private,
            path,
        })
    }

    /// The one in the zone's directory, made if there is none or it is for another host.
    pub fn self_made(home: &Home, host: &str) -> Result<Self, StartError> {
        let [ca, certificate, key] = ["tls_ca.pem", "tls_certificate.pem", "tls_key.pem"]
            .map(|name| home.environment_file().with_file_name(name));
        if let Ok(found) = Self::read(&certificate, &key)
            && ca.is_file()
            && found.is_for(host)
        {
            return Ok(Self {
                authorities: Some(ca),
                ..found
            });
        }
        let made = make(host).map_err(|error| wrong(&certificate, error))?;
        for (path, text) in [
            (&ca, &made.ca),
            (&key, &made.key),
            (&certificate, &made.certificate),
        ] {
            home.write_private(path, text.as_bytes(), None)
                .map_err(|error| match error {
                    HomeError::Io { path, source } => StartError::Directory { path, source },
                    HomeError::Served(_) => wrong(path, "another process serves the zone"),
                })?;
        }
        Ok(Self {
            authorities: Some(ca),
            ..Self::read(&certificate, &key)?
        })
    }

    fn is_for(&self, host: &str) -> bool {
        let Some(own) = self.chain.first() else {
            return false;
        };
        let Ok(name) = ServerName::try_from(host) else {
            return false;
        };
        ParsedCertificate::try_from(own)
            .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

fn content(path: &Path) -> Result<Vec<u8>, StartError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| wrong(path, format!("it cannot be read: {error}")))?;
    Ok(bytes)
}

/// PEM texts.
struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn make(host: &str) -> Result<Made, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, format!("embedded iRODS zone on {host}"));
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let mut names: Vec<String> = [host, "localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .into();
    names.sort();
    names.dedup();
    let mut own = CertificateParams::new(names)?;
    own.distinguished_name.push(DnType::CommonName, host);
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict clients look for the signer by its key.
    own.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = own.signed_by(&key, &issuer)?;
    Ok(Made {
        ca: ca_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
