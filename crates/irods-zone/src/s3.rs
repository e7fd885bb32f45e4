//! Reading objects of an S3 server, for resources of type `s3`.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::runtime::Handle;

use crate::catalog::resources::Resource;

/// How a resource's server is reached.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    host: String,
    region: String,
    scheme: &'static str,
    /// The access key in the first line, the secret key in the second.
    keys: PathBuf,
}

impl Server {
    /// That of a resource, by its context.
    pub fn of(resource: &Resource) -> Self {
        let text = |key, default| resource.context_value(key).unwrap_or(default).to_owned();
        let hosts = text("S3_DEFAULT_HOSTNAME", "s3.amazonaws.com");
        Server {
            // Several may be given, with commas between.
            host: hosts
                .split(',')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            region: text("S3_REGIONNAME", "us-east-1"),
            scheme: match resource.context_value("S3_PROTO") {
                Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
                _ => "http",
            },
            keys: text("S3_AUTH_FILE", "").into(),
        }
    }

    /// A copy of the object at `/BUCKET/KEY`, at its beginning.
    pub fn copy(&self, path: &Path) -> io::Result<File> {
        let (client, bucket, key) = self.place(path)?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let copy = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
        let mut copy = File::from(copy);
        Handle::current().block_on(async {
            let answer = client.get_object().bucket(bucket).key(key).send().await;
            let mut body = answer.map_err(|error| failed(&error))?.body;
            while let Some(bytes) = body.try_next().await.map_err(io::Error::other)? {
                copy.write_all(&bytes)?;
            }
            Ok::<_, io::Error>(())
        })?;
        copy.rewind()?;
        Ok(copy)
    }

    /// Bytes of the object.
    pub fn size(&self, path: &Path) -> io::Result<u64> {
        let (client, bucket, key) = self.place(path)?;
        let head = client.head_object().bucket(bucket).key(key).send();
        let head = Handle::current().block_on(head);
        let length = head.map_err(|error| failed(&error))?.content_length();
        Ok(length
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or(0))
    }

    fn place<'a>(&self, path: &'a Path) -> io::Result<(Client, &'a str, &'a str)> {
        let place = path
            .to_str()
            .and_then(|path| path.strip_prefix('/')?.split_once('/'));
        let (bucket, key) = place.ok_or(Errno::NOENT)?;
        Ok((self.client()?, bucket, key))
    }

    fn client(&self) -> io::Result<Client> {
        let text = std::fs::read_to_string(&self.keys)?;
        let mut lines = text.lines().map(str::trim);
        let (access, secret) = (lines.next(), lines.next());
        let (Some(access), Some(secret)) = (access, secret) else {
            return Err(io::Error::other("S3_AUTH_FILE has not two lines"));
        };
        let credentials = Credentials::new(access, secret, None, None, "S3_AUTH_FILE");
        let tls = Provider::Rustls(CryptoMode::Ring);
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(tls).build_https())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("{}://{}", self.scheme, self.host))
            .force_path_style(true);
        Ok(Client::from_conf(config.build()))
    }
}

/// As the system would say of a file what it says of an object.
fn failed<E, R>(error: &SdkError<E, R>) -> io::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
    {
        Some("NoSuchKey" | "NotFound" | "NoSuchBucket") => Errno::NOENT.into(),
        Some("AccessDenied" | "Forbidden") => Errno::ACCESS.into(),
        _ => Errno::IO.into(),
    }
}
