//! How a server of buckets is reached, and where the keys come from if not from a file of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::process::Command;
use std::sync::{Arc, Mutex};

use support::bucket::{Bucket, Streaming};
use support::http::{HttpProxy, Verdict};
use support::mirror::TARGET;
use support::{Site, ran};

/// What proves who asks for a role. Whatever has this in it has told a secret.
const IDENTITY: &str = "f00d.w3bIdentity.f00d";

/// A server with three objects, and the heads of the requests that come to it.
struct Observed {
    bucket: Bucket,
    proxy: HttpProxy,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Observed {
    fn start() -> Option<Self> {
        let mut bucket = Bucket::start()?;
        bucket.fill("p/k", 3);
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = heads.clone();
        let proxy = HttpProxy::start(bucket.port, move |head| {
            seen.lock().unwrap().push(head.to_owned());
            Verdict::Pass
        });
        Some(Observed {
            bucket,
            proxy,
            heads,
        })
    }

    /// All that is in the bucket is uploaded; then what each request had in its head.
    #[track_caller]
    fn uploaded(&self, command: &mut Command) -> Vec<String> {
        let done = ran(command).expect(0);
        assert_eq!(done.number("uploaded"), 3);
        let heads = std::mem::take(&mut *self.heads.lock().unwrap());
        assert!(!heads.is_empty());
        heads
    }
}

/// `start` of a source, without anything that the AWS tools would find.
fn start(site: &Site, source: &str, more: &str) -> Command {
    let mut command = site.command(&format!(
        "start {source} {TARGET} --embedded_zone zone --synchronous --operation PUT {more}"
    ));
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "2");
    command
}

#[test]
fn keys_are_found_as_the_aws_tools_find_them() {
    let Some(server) = Observed::start() else {
        return;
    };
    let port = server.proxy.port;
    let all_are_of = |heads: Vec<String>, key: &str| {
        let credential = format!("Credential={key}/");
        assert!(
            heads.iter().all(|head| head.contains(&credential)),
            "{heads:#?}"
        );
    };
    let new_start = |site: &Site| {
        start(
            site,
            "s3://bucket/p",
            &format!("--s3_endpoint_domain 127.0.0.1:{port} --s3_insecure_connection"),
        )
    };
    let site = Site::new();
    let mut by_variables = new_start(&site);
    by_variables
        .env("AWS_ACCESS_KEY_ID", "BYVARIABLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    all_are_of(server.uploaded(&mut by_variables), "BYVARIABLE");
    let site = Site::new();
    let profile = "[other]\naws_access_key_id = NO\naws_secret_access_key = no\n[ingest]\naws_access_key_id = BYPROFILE\naws_secret_access_key = secret\n";
    std::fs::write(site.path("credentials"), profile).unwrap();
    let mut by_profile = new_start(&site);
    by_profile
        .env("AWS_SHARED_CREDENTIALS_FILE", site.path("credentials"))
        .env("AWS_PROFILE", "ingest");
    all_are_of(server.uploaded(&mut by_profile), "BYPROFILE");
}

#[test]
fn keys_of_a_role_are_asked_for_with_a_web_identity() {
    let Some(server) = Observed::start() else {
        return;
    };
    let with_identity = |site: &Site, sts: u16| {
        std::fs::write(site.path("identity"), IDENTITY).unwrap();
        let at = format!(
            "--s3_endpoint_domain 127.0.0.1:{} --s3_insecure_connection",
            server.proxy.port
        );
        let mut command = start(site, "s3://bucket/p", &at);
        command
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", site.path("identity"))
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ingest")
            .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{sts}"));
        command
    };
    let site = Site::new();
    // The server of buckets is one of roles as well.
    let heads = server.uploaded(&mut with_identity(&site, server.bucket.port));
    for head in &heads {
        let keys = head.contains("Credential=ASIA")
            && head.to_ascii_lowercase().contains("x-amz-security-token:");
        assert!(keys && !head.contains(IDENTITY), "{head}");
    }
    // Nobody is there who gives roles.
    let refused = ran(&mut with_identity(&Site::new(), 1)).expect(3);
    assert!(refused.err.contains("credentials"), "{refused:?}");
    assert_eq!(refused.err.trim_end().lines().count(), 1, "{}", refused.err);
    assert!(!refused.err.contains(IDENTITY));
}

#[test]
fn requests_go_by_the_proxy_and_are_signed_for_the_region_that_was_given() {
    let Some(server) = Observed::start() else {
        return;
    };
    let site = Site::new();
    let keys = site.s3_flags(server.bucket.port);
    let more = format!(
        "{keys} --s3_region_name eu-north-1 --s3_proxy_url http://127.0.0.1:{}",
        server.proxy.port
    );
    // As the Python tool calls a source.
    let heads = server.uploaded(&mut start(&site, "/bucket/p", &more));
    for head in &heads {
        assert!(head.contains("/eu-north-1/s3/aws4_request"), "{head}");
        // Whole, as a proxy needs it.
        let asks_for = head.split(' ').nth(1).unwrap();
        let server = format!("http://127.0.0.1:{}/bucket", server.bucket.port);
        assert!(asks_for.starts_with(&server), "{head}");
    }
}

#[test]
fn a_wrong_key_is_told_in_one_line_by_a_server_that_looks() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("served/bucket/p")).unwrap();
    std::fs::write(site.path("served/bucket/p/k"), "content").unwrap();
    let Some(server) = Streaming::start(&site.path("served")) else {
        return;
    };
    let flags = site.s3_flags(server.port);
    let right = std::fs::read_to_string(site.path("keys")).unwrap();
    for (keys, says) in [
        (right.replace("access", "nobody"), "InvalidAccessKeyId"),
        (right.replace("S3cret", "Wr0ng"), "SignatureDoesNotMatch"),
    ] {
        std::fs::write(site.path("keys"), &keys).unwrap();
        let refused = ran(&mut start(&site, "s3://bucket/p", &flags)).expect(3);
        assert!(refused.err.contains(says), "{refused:?}");
        assert_eq!(refused.err.trim_end().lines().count(), 1, "{}", refused.err);
        assert!(!refused.err.contains(keys.lines().nth(1).unwrap()));
    }
    std::fs::write(site.path("keys"), right).unwrap();
    ran(&mut start(&site, "s3://bucket/p", &flags)).expect(0);
}
