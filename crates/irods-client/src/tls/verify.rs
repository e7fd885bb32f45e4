//! What is checked of a server's certificate, by mode.
//!
//! Two things go beyond what the TLS library does, because OpenSSL, which the other iRODS clients use, does them and
//! certificates made by iRODS's own instructions (`openssl req -new -x509`) need them: a certificate that is itself among the
//! trusted ones is trusted although it says that it is an authority, and one without alternative names is for the host of
//! its common name.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::roots::Roots;
use crate::environment::VerifyServer;

/// The checks of one connection.
#[derive(Debug)]
pub(super) struct Verifier {
    mode: VerifyServer,
    roots: Roots,
    host: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(
        mode: VerifyServer,
        roots: Roots,
        host: &str,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        Verifier {
            mode,
            roots,
            host: host.to_owned(),
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check_chain(
        &self,
        der: &CertificateDer<'_>,
        certificate: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = self.algorithms.all;
        let outcome = verify_server_cert_signed_by_trust_anchor(
            certificate,
            &self.roots.store,
            intermediates,
            now,
            algorithms,
        );
        match outcome {
            // By then its dates are known to be good.
            Err(e) if is_authority(&e) && self.roots.certificates.contains(der) => Ok(()),
            other => other,
        }
    }

    fn check_name(
        &self,
        der: &CertificateDer<'_>,
        certificate: &ParsedCertificate<'_>,
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        match verify_server_name(certificate, name) {
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                expected,
                presented,
            })) if presented.is_empty() => {
                let names = common_names(der);
                if names.iter().any(|n| n.eq_ignore_ascii_case(&self.host)) {
                    return Ok(());
                }
                let presented = names;
                let error = CertificateError::NotValidForNameContext {
                    expected,
                    presented,
                };
                Err(error.into())
            }
            other => other,
        }
    }
}

/// Whether all that is wrong with a server's certificate is that it is an authority's.
fn is_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => matches!(
            reason.downcast_ref(),
            Some(webpki::Error::CaUsedAsEndEntity)
        ),
        _ => false,
    }
}

/// The names of a certificate without alternative ones.
fn common_names(der: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let names = certificate.subject().iter_common_name();
    names
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect()
}

/// Names as the library lists them (`DnsName("a")`, `IpAddress(::1)`), without its wrapping.
pub(super) fn readable(names: &[String]) -> Vec<String> {
    let plain = |name: &String| match name.split_once('(').and_then(|(_, n)| n.strip_suffix(')')) {
        Some(inside) => inside.trim_matches('"').to_owned(),
        None => name.clone(),
    };
    names.iter().map(plain).collect()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.mode != VerifyServer::None {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            self.check_chain(end_entity, &certificate, intermediates, now)?;
            if self.mode == VerifyServer::HostName {
                self.check_name(end_entity, &certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
