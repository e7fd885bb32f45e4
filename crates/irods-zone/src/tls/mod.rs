//! TLS of a zone: with a certificate of the site, or one that the zone makes for itself.
//!
//! ```text
//! DIR/tls_ca.pem            who signed the self-made certificate; clients trust this file
//! DIR/tls_certificate.pem   the self-made certificate
//! DIR/tls_key.pem           its key                                                    (0600)
//! ```
//! The key of the signer is forgotten as soon as it has signed: nobody can make more certificates
//! that clients of this zone would trust. The certificate is made anew only where it does not fit
//! the host by which clients know the zone.

mod certificate;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::home::Home;
use crate::zone::StartError;
use certificate::Identity;

/// How a zone offers TLS.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// What the zone shows to its clients.
    pub certificate: Certificate,
    /// Refuse clients without TLS (`CS_NEG_REQUIRE`); else they choose (`CS_NEG_DONT_CARE`).
    pub required: bool,
}

/// A server's certificate.
#[derive(Debug, Clone)]
pub enum Certificate {
    /// Made on first use and kept in the zone's directory.
    SelfMade,
    /// From PEM files.
    Files {
        /// The certificate, then those that it was signed with.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// TLS as a running zone has it.
pub(crate) struct Tls {
    pub acceptor: TlsAcceptor,
    pub required: bool,
    /// What clients have to trust, if it is not among what their system trusts.
    pub authorities: Option<PathBuf>,
}

impl Tls {
    /// Reads or makes the certificate.
    pub fn prepare(options: &TlsOptions, home: &Home, host: &str) -> Result<Self, StartError> {
        let identity = match &options.certificate {
            Certificate::SelfMade => Identity::self_made(home, host)?,
            Certificate::Files { chain, key } => Identity::read(chain, key)?,
        };
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config
                    .with_no_client_auth()
                    .with_single_cert(identity.chain, identity.key)
            })
            .map_err(|error| StartError::Tls {
                path: identity.path,
                reason: error.to_string(),
            })?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            required: options.required,
            authorities: identity.authorities,
        })
    }
}
