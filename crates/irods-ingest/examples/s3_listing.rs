//! A plain listing of a bucket: each "directory" by itself, one page after the other, with the library and the settings of the engine, and
//! nothing done with what is listed. `bench/s3.py` compares scans with it.
//!
//! `s3_listing HOST:PORT KEYFILE BUCKET/PREFIX REQUESTS` says how many objects there are and how many seconds that took, with so many
//! requests under way at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Instant;

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::types::EncodingType;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tokio::task::JoinSet;

async fn client(endpoint: &str, key_file: &str) -> Client {
    let keys = std::fs::read_to_string(key_file).unwrap();
    let mut keys = keys.lines().map(|line| line.trim().to_owned());
    let keys = Credentials::new(
        keys.next().unwrap(),
        keys.next().unwrap(),
        None,
        None,
        "file",
    );
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .http_client(http)
        .credentials_provider(keys);
    let config = aws_sdk_s3::config::Builder::from(&config.load().await)
        .endpoint_url(format!("http://{endpoint}"))
        .force_path_style(true);
    Client::from_conf(config.build())
}

/// The objects directly below a prefix, and the prefixes there.
async fn list(client: Client, bucket: String, prefix: String) -> (usize, Vec<String>) {
    let (mut objects, mut below, mut token) = (0, Vec::new(), None);
    loop {
        let request = client.list_objects_v2();
        let page = request
            .bucket(&bucket)
            .prefix(&prefix)
            .delimiter("/")
            .max_keys(1000)
            .encoding_type(EncodingType::Url)
            .set_continuation_token(token)
            .send()
            .await
            .unwrap();
        objects += page.contents().len();
        let prefixes = page.common_prefixes().iter();
        below.extend(prefixes.map(|below| below.prefix().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return (objects, below);
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, key_file, place, requests] = arguments.as_slice() else {
        panic!("HOST:PORT KEYFILE BUCKET/PREFIX REQUESTS are expected");
    };
    let (bucket, prefix) = place.split_once('/').unwrap();
    let most: usize = requests.parse().unwrap();
    let began = Instant::now();
    let client = client(endpoint, key_file).await;
    let (mut objects, mut left) = (0, vec![prefix.to_owned()]);
    let mut listings = JoinSet::new();
    while !left.is_empty() || !listings.is_empty() {
        while listings.len() < most
            && let Some(prefix) = left.pop()
        {
            listings.spawn(list(client.clone(), bucket.to_owned(), prefix));
        }
        let (found, below) = listings.join_next().await.unwrap().unwrap();
        objects += found;
        left.extend(below);
    }
    println!("{objects} {}", began.elapsed().as_secs_f64());
}
