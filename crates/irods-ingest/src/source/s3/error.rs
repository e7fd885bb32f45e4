//! What an S3 server's answer says, or its silence: of the entry, or of this worker's way to it.
//!
//! Nothing that is said has a key or a signature in it: of an answer only its code and message are shown.

use std::error::Error;
use std::path::PathBuf;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::Response;

use crate::source::SourceError;

/// Codes that say nothing of the entry: of the keys, the bucket, the region, the clock, or that the server has too much to do.
const OF_WORKER: [&str; 24] = [
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidSecurity",
    "InvalidToken",
    "NoSuchBucket",
    "NotSignedUp",
    "PermanentRedirect",
    "Redirect",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
    "TemporaryRedirect",
    "ThrottlingException",
    "TokenRefreshRequired",
    "TooManyRequests",
];

/// What is added where requests seem to be made at another time.
const CLOCK: &str = " (check the clock of this machine)";

/// What `error` means for what was done with `path`.
pub(super) fn of<E>(
    doing: &'static str,
    path: PathBuf,
    error: &SdkError<E, Response>,
) -> SourceError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Some(answer) = error.as_service_error() else {
        let message = match error.raw_response() {
            None => format!("the S3 server cannot be reached: {}", chain(error)),
            Some(_) => format!("the S3 server's answer is not understood: {}", chain(error)),
        };
        return SourceError::Remote {
            doing,
            path,
            message,
            of_worker: true,
        };
    };
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = answer.code().unwrap_or_default();
    let remote_with = |of_worker, more: &str| {
        let status = status.map_or_else(String::new, |status| format!("HTTP status {status}"));
        let what = match (code, answer.message()) {
            ("", _) => status,
            (code, None) => code.to_owned(),
            (code, Some(text)) => format!("{code}: {}", text.trim()),
        };
        SourceError::Remote {
            doing,
            path: path.clone(),
            message: format!("the S3 server says {what}{more}"),
            of_worker,
        }
    };
    let remote = |of_worker| remote_with(of_worker, "");
    match (code, status) {
        ("RequestTimeTooSkewed" | "RequestExpired", _) => remote_with(true, CLOCK),
        (code, _) if OF_WORKER.contains(&code) => remote(true),
        ("NoSuchKey" | "NotFound", _) => SourceError::Vanished { path },
        ("AccessDenied", _) => SourceError::Unreadable { path },
        ("InvalidRange", _) | (_, Some(416)) => SourceError::PastEnd { path },
        ("PreconditionFailed", _) | (_, Some(412)) => SourceError::Changed { path },
        (_, Some(429 | 503)) => remote(true),
        ("", Some(404)) => SourceError::Vanished { path },
        // Without a code: who asks has to find out more.
        ("" | "Forbidden" | "BadRequest", Some(400 | 401 | 403)) => {
            SourceError::Unreadable { path }
        }
        _ => remote(false),
    }
}

/// An error with what it came from.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
