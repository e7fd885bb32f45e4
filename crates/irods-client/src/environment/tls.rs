//! Settings of TLS: what the client says in the negotiation, whom it trusts, the parameters that servers expect after it.

use std::path::PathBuf;

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

/// What is checked of a server's certificate (`irods_ssl_verify_server`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyServer {
    /// `none`: nothing. Whoever is on the way can read and change everything.
    None,
    /// `cert`: an authority that is trusted here vouches for it, whatever host it is for.
    Certificate,
    /// `hostname`: that, and it is for the host that was asked for.
    #[default]
    HostName,
}

/// How TLS is done where both sides want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// What is checked of the server's certificate.
    pub verify: VerifyServer,
    /// PEM file of certificates that are trusted (`irods_ssl_ca_certificate_file`).
    pub ca_file: Option<PathBuf>,
    /// Directory of such files (`irods_ssl_ca_certificate_path`). Where neither is given, the system's certificates are trusted.
    pub ca_path: Option<PathBuf>,
    /// What servers are told to encrypt transfers on other ports with; this client makes none
    /// (`irods_encryption_algorithm`).
    pub algorithm: String,
    /// Bytes of its key (`irods_encryption_key_size`).
    pub key_size: u16,
    /// Bytes of its salt (`irods_encryption_salt_size`).
    pub salt_size: u16,
    /// Its hash rounds (`irods_encryption_num_hash_rounds`).
    pub hash_rounds: u16,
}

impl Default for TlsSettings {
    /// Host names are verified, by the system's certificates; AES-256-CBC, 32, 8, 16.
    fn default() -> Self {
        TlsSettings {
            verify: VerifyServer::default(),
            ca_file: None,
            ca_path: None,
            algorithm: "AES-256-CBC".to_owned(),
            key_size: 32,
            salt_size: 8,
            hash_rounds: 16,
        }
    }
}
