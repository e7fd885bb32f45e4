//! `docs/api-table.md` says which calls the zone serves and the client makes. It is what this test finds: of the zone by asking a
//! running one, of the client by reading its source. `UPDATE_DOCS=1 cargo test -p irods-zone --test api_table` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::Fixture;
use irods_protocol::api::{APIS, OLDEST};
use irods_protocol::codes;

/// Modules of the client that name calls only to tell them apart.
const NO_CALLS: [&str; 3] = ["connection", "connection.rs", "counts.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of the calls in the client's source, up to its tests.
fn made_by_the_client() -> BTreeSet<String> {
    let mut todo = vec![root().join("crates/irods-client/src")];
    let mut found = BTreeSet::new();
    while let Some(path) = todo.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if NO_CALLS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            todo.extend(entries.map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for part in code.split("api::").skip(1) {
            let end =
                part.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
            let word = &part[..end.unwrap_or(part.len())];
            if APIS.iter().any(|api| api.name == word) {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// Numbers of the calls that a zone knows.
async fn served_by_the_zone() -> BTreeSet<i32> {
    let zone = Fixture::new().await;
    let mut served = BTreeSet::new();
    for api in APIS {
        // One connection for each: a call may change what its connection is.
        let mut rods = zone.rods().await;
        if rods.bare(api.number).await.code != codes::SYS_UNMATCHED_API_NUM {
            served.insert(api.number);
        }
    }
    served
}

#[tokio::test]
async fn the_table_of_calls_is_true() {
    let (client, zone) = (made_by_the_client(), served_by_the_zone().await);
    let mut text = String::from(
        "# Calls of the iRODS protocol\n\n\
         Which calls the client makes and the embedded zone serves. A test writes and checks this table\n\
         (`crates/irods-zone/tests/api_table.rs`). A call that the zone does not serve is answered at once with\n\
         `SYS_UNMATCHED_API_NUM` (-12000). *Since* is the first release of real servers that has the call, empty for those\n\
         that all supported releases have.\n\n\
         | number | call | since | client | zone |\n|---:|---|---|:-:|:-:|\n",
    );
    let yes = |known: bool| if known { "yes" } else { "" };
    for api in APIS {
        let since = match api.since {
            OLDEST => String::new(),
            version => version.to_string(),
        };
        let (client, zone) = (client.contains(api.name), zone.contains(&api.number));
        let (number, name) = (api.number, api.name);
        writeln!(
            text,
            "| {number} | {name} | {since} | {} | {} |",
            yes(client),
            yes(zone)
        )
        .unwrap();
    }
    let count = |known: usize| format!("{known} of {}", APIS.len());
    writeln!(
        text,
        "\nThe client makes {} calls, the zone serves {}.",
        count(client.len()),
        count(zone.len())
    )
    .unwrap();

    // Whoever asks for what the client makes must get it from the zone.
    let missing: Vec<&String> = client
        .iter()
        .filter(|name| {
            let number = APIS.iter().find(|api| api.name == **name).unwrap().number;
            !zone.contains(&number)
        })
        .collect();
    assert!(
        missing.is_empty(),
        "made by the client, not served by the zone: {missing:?}"
    );

    let file = root().join("docs/api-table.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "docs/api-table.md is out of date: UPDATE_DOCS=1 cargo test -p irods-zone --test api_table"
    );
}
