//! TLS as iRODS does it: begun on an open connection, between the version message and the login (or, for the PAM login of
//! servers before 4.3, after call 1100); followed by parameters for transfers on other ports, which this client makes none of.
//!
//! TLS 1.2 and 1.3. Whom to trust is in [`TlsSettings`]; the checks are in `verify`, the reading of files in `roots`.

mod roots;
mod verify;

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use irods_protocol::frame;
use irods_protocol::header::Header;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};

use crate::environment::{Environment, TlsSettings, VerifyServer};
use crate::error::TlsFailure;
use roots::Roots;
use verify::Verifier;

/// What a handshake with one server needs.
#[derive(Debug)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
    name: ServerName<'static>,
    host: String,
    /// Where the trusted certificates are from, for errors.
    authorities: String,
}

impl Connector {
    /// Reads the certificates that are trusted.
    pub(crate) async fn prepare(environment: &Environment) -> Result<Connector, TlsFailure> {
        let settings = environment.tls_settings.clone();
        let host = environment.host.clone();
        let preparing = tokio::task::spawn_blocking(move || Self::read(&settings, host));
        preparing
            .await
            .unwrap_or_else(|e| Err(TlsFailure::Handshake(e.to_string())))
    }

    fn read(settings: &TlsSettings, host: String) -> Result<Connector, TlsFailure> {
        let name = ServerName::try_from(host.clone()).map_err(|_| TlsFailure::Settings {
            place: format!("irods_host is {host:?}"),
            reason: "TLS needs a host name or an address".to_owned(),
        })?;
        let roots = match settings.verify {
            VerifyServer::None => Roots::none(),
            VerifyServer::Certificate | VerifyServer::HostName => Roots::read(settings)?,
        };
        let provider = Arc::new(ring::default_provider());
        let authorities = roots.origin.clone();
        let verifier = Verifier::new(settings.verify, roots, &host, &provider);
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsFailure::Handshake(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Connector {
            config: Arc::new(config),
            provider,
            name,
            host,
            authorities,
        })
    }

    /// The handshake.
    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(self.config.clone())
            .connect(self.name.clone(), stream)
            .await
    }

    /// What a failed handshake means, if it failed as such and the connection did not just break.
    pub(crate) fn failure(&self, error: &io::Error) -> Option<TlsFailure> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match inner {
            rustls::Error::InvalidCertificate(reason) => self.bad_certificate(reason),
            rustls::Error::InvalidMessage(_) => {
                TlsFailure::Handshake("the server's answer is not TLS".to_owned())
            }
            other => TlsFailure::Handshake(other.to_string()),
        })
    }

    fn bad_certificate(&self, error: &CertificateError) -> TlsFailure {
        let reason = match error {
            CertificateError::NotValidForNameContext { presented, .. } => {
                return TlsFailure::WrongHost {
                    host: self.host.clone(),
                    names: verify::readable(presented),
                };
            }
            CertificateError::NotValidForName => {
                return TlsFailure::WrongHost {
                    host: self.host.clone(),
                    names: Vec::new(),
                };
            }
            CertificateError::UnknownIssuer => {
                "none of them has signed it, or what it was signed with".to_owned()
            }
            CertificateError::Other(other) => {
                other.source().map_or(other.to_string(), |e| e.to_string())
            }
            other => other.to_string(),
        };
        TlsFailure::Untrusted {
            authorities: self.authorities.clone(),
            reason,
        }
    }

    /// The two messages that servers expect right after the handshake: parameters, then a secret.
    ///
    /// Their lengths are not lengths: nothing follows the first, and as many bytes as the key has follow the second (server
    /// source 4.2 to 5.0).
    pub(crate) fn parameters(&self, settings: &TlsSettings) -> Result<Vec<u8>, TlsFailure> {
        let broken = |e: &dyn std::fmt::Display| TlsFailure::Handshake(e.to_string());
        let header = |header: Header| frame::encode_header(&header).map_err(|e| broken(&e));
        let mut messages = header(Header {
            kind: settings.algorithm.clone(),
            message_len: settings.key_size.into(),
            error_len: settings.salt_size.into(),
            bytes_len: settings.hash_rounds.into(),
            int_info: 0,
        })?;
        messages.extend(header(Header {
            kind: "SHARED_SECRET".to_owned(),
            message_len: settings.key_size.into(),
            error_len: 0,
            bytes_len: 0,
            int_info: 0,
        })?);
        let mut secret = vec![0; settings.key_size.into()];
        self.provider
            .secure_random
            .fill(&mut secret)
            .map_err(|_| broken(&"no random bytes"))?;
        messages.extend_from_slice(&secret);
        Ok(messages)
    }
}

/// A random byte; 0 where there are none.
pub(crate) fn random_byte() -> u8 {
    let mut byte = [0];
    // Without it the row of the password file is always the same one, as python-irodsclient has it.
    let _ = ring::default_provider().secure_random.fill(&mut byte);
    byte[0]
}
