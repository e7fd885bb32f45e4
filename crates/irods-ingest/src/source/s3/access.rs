//! How an S3 server is reached: endpoint, region, proxy, and where the keys come from.
//!
//! What travels with a job says how to get at the keys, never the keys: each worker reads the same file on its own machine, or
//! takes what its environment has for the AWS tools (variables, profile files, web identity, container and instance roles).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use serde::{Deserialize, Serialize};

use super::requests::Repeated;
use crate::bytes_text;

/// The server that is meant where none is named; requests go to the region's own.
pub const AWS: &str = "s3.amazonaws.com";

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

const CONNECTING: Duration = Duration::from_secs(10);

/// Longest key file that is read.
const MAX_KEY_FILE: u64 = 64 << 10;

/// How a server is reached. Part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// `HOST` or `HOST:PORT`.
    pub endpoint: String,
    /// Region, as requests are signed for it.
    pub region: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// `http://HOST:PORT` of a proxy, without a password.
    pub proxy: Option<String>,
    /// Absolute path of a file with the access key in its first line and the secret key in its second; empty for none.
    #[serde(with = "bytes_text")]
    pub keypair: Vec<u8>,
    /// MiB of a part of what was uploaded in several, where the server does not tell.
    pub chunk_mib: u32,
}

/// Why a server is not even asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Not a host with or without a port.
    #[error("S3 endpoint {0:?} is none: HOST or HOST:PORT is expected")]
    Endpoint(String),
    /// Not a proxy.
    #[error("S3 proxy {0:?} is none: http://HOST:PORT is expected")]
    Proxy(String),
    /// A password would be kept in the queue.
    #[error("the S3 proxy's URL must not have a user or a password: it is kept with the job")]
    ProxySecret,
    /// The key file.
    #[error("cannot read the S3 key file {}: {error}", path.display())]
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It has no keys.
    #[error(
        "the S3 key file {} has no keys: the access key is expected in its first line and the secret key in its second",
        path.display()
    )]
    NoKeys {
        /// Its path.
        path: PathBuf,
    },
}

impl Default for Access {
    fn default() -> Self {
        Access {
            endpoint: AWS.to_owned(),
            region: "us-east-1".to_owned(),
            insecure: false,
            proxy: None,
            keypair: Vec::new(),
            chunk_mib: 8,
        }
    }
}

impl Access {
    /// The key file.
    pub fn key_file(&self) -> Option<&Path> {
        let path = Some(self.keypair.as_slice()).filter(|path| !path.is_empty());
        path.map(|path| Path::new(OsStr::from_bytes(path)))
    }

    /// What can be known without asking the server.
    ///
    /// # Errors
    /// What is wrong; no error has a key in it.
    pub fn check(&self) -> Result<(), AccessError> {
        let host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if self.endpoint.is_empty() || !self.endpoint.chars().all(host) {
            return Err(AccessError::Endpoint(self.endpoint.clone()));
        }
        self.proxy()?;
        self.keys().map(drop)
    }

    fn proxy(&self) -> Result<Option<ProxyConfig>, AccessError> {
        let Some(proxy) = &self.proxy else {
            return Ok(None);
        };
        if proxy.contains('@') {
            return Err(AccessError::ProxySecret);
        }
        let config = ProxyConfig::all(proxy.as_str());
        config
            .map(Some)
            .map_err(|_| AccessError::Proxy(proxy.clone()))
    }

    /// Access key and secret key out of the key file; `None` where there is none. Not to be kept or shown.
    ///
    /// # Errors
    /// The file cannot be read, or has no keys.
    pub fn keys(&self) -> Result<Option<(String, String)>, AccessError> {
        let Some(path) = self.key_file() else {
            return Ok(None);
        };
        let text = read_small(path).map_err(|error| AccessError::KeyFile {
            path: path.to_owned(),
            error,
        })?;
        let mut lines = text.lines().map(str::trim);
        match (lines.next(), lines.next()) {
            (Some(access), Some(secret)) if !access.is_empty() && !secret.is_empty() => {
                Ok(Some((access.to_owned(), secret.to_owned())))
            }
            _ => Err(AccessError::NoKeys {
                path: path.to_owned(),
            }),
        }
    }

    /// A client of the server that makes each request up to `attempts` times, or as often as the variable says that all AWS tools
    /// know, and is as patient as `requests` has it.
    ///
    /// # Errors
    /// As [`Access::check`]. The server was not asked.
    pub(super) async fn client(
        &self,
        attempts: u32,
        requests: Repeated,
    ) -> Result<Client, AccessError> {
        self.check()?;
        let wanted = std::env::var("AWS_MAX_ATTEMPTS").ok();
        let wanted = wanted.and_then(|wanted| wanted.trim().parse().ok());
        let retries = RetryConfig::standard()
            .with_max_attempts(wanted.unwrap_or(attempts).max(1))
            .with_max_backoff(LONGEST_PAUSE);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECTING)
            .read_timeout(requests.silence())
            .build();
        let stalled = StalledStreamProtectionConfig::enabled()
            .grace_period(requests.silence())
            .build();
        let proxy = self.proxy()?;
        let http = Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder();
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            connector.set_proxy_config(proxy.clone());
            connector
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build()
        });
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .retry_config(retries)
            .timeout_config(timeouts)
            .stalled_stream_protection(stalled)
            .http_client(http);
        if let Some((access, secret)) = self.keys()? {
            let keys = Credentials::new(access, secret, None, None, "keypair");
            loader = loader.credentials_provider(keys);
        }
        let config = aws_sdk_s3::config::Builder::from(&loader.load().await);
        let config = config.interceptor(requests);
        let config = match self.endpoint.as_str() {
            AWS => config,
            // Buckets of other people's servers seldom have host names of their own.
            host => config
                .endpoint_url(format!("{}://{host}", self.scheme()))
                .force_path_style(true),
        };
        Ok(Client::from_conf(config.build()))
    }

    fn scheme(&self) -> &'static str {
        match self.insecure {
            true => "http",
            false => "https",
        }
    }
}

fn read_small(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_KEY_FILE).read_to_string(&mut text)?;
    Ok(text)
}
