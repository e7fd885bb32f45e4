//! What a scenario finds when it begins, as a table in words; see `setup.txt`.
//!
//! Relative paths are below the work collection, which every scenario finds empty: `golden`, `goldi` or `direct` in
//! the administrator's home.

use std::path::Path;

use irods_protocol::message::*;
use irods_protocol::{api, keywords};

use crate::common::{HOME, Peer, object, wish};
use crate::translate::Places;

const TABLE: &str = include_str!("setup.txt");

/// The work collection of a scenario.
fn work(scenario: &str) -> Option<String> {
    let name = match scenario.split('_').next()? {
        "prc" => "golden",
        "raw" => "direct",
        "icmd" | "icmdxml" => "goldi",
        _ => return None,
    };
    Some(format!("{HOME}/{name}"))
}

/// The steps of a scenario; icommands have the same in both packings.
fn steps(scenario: &str) -> Vec<Vec<String>> {
    let scenario = scenario.replacen("icmdxml_", "icmd_", 1);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let of = |line: &&str| {
        line.split_once(':')
            .is_some_and(|(names, _)| names.split(',').any(|name| name.trim() == scenario))
    };
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let steps = lines
        .filter(of)
        .flat_map(|line| line.split_once(':').unwrap().1.split(';'));
    steps
        .map(words)
        .filter(|step: &Vec<String>| !step.is_empty())
        .collect()
}

/// Bytes by name: the recorded files, or the text itself.
fn content(name: &str) -> Vec<u8> {
    let small = || (0..100).collect::<Vec<u8>>();
    match name {
        "small" => small(),
        "five" => (0..256)
            .map(|i: u32| (3 + 7 * i) as u8)
            .collect::<Vec<u8>>()
            .repeat(20 << 10),
        "forty" => vec![0; 40 << 20],
        "range" => (0..=255).collect::<Vec<u8>>().repeat(4),
        "sum" => b"sum me".to_vec(),
        "hello" => b"hello golden\n".to_vec(),
        text => match text.split_once('*') {
            Some((text, times)) => text.as_bytes().repeat(times.parse().unwrap()),
            None => text.as_bytes().to_vec(),
        },
    }
}

/// Makes the files on the server's disk and what the catalog holds.
pub async fn set_up(scenario: &str, rods: &mut Peer, files: &Path, places: &Places) {
    for (name, bytes) in [
        ("small.bin", "small"),
        ("small_copy.bin", "small"),
        ("five.bin", "five"),
    ] {
        std::fs::write(files.join(name), content(bytes)).unwrap();
    }
    let base = work(scenario);
    if let Some(work) = &base {
        assert_eq!(rods.mkdir(work).await, 0);
    }
    let path = |text: &str| match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("{}/{text}", base.as_deref().unwrap_or(HOME)),
    };
    for step in steps(scenario) {
        let step: Vec<&str> = step.iter().map(String::as_str).collect();
        match step.as_slice() {
            ["coll", name] => assert_eq!(rods.mkdir(&path(name)).await, 0),
            ["put", name, bytes] => put(rods, &path(name), &content(bytes)).await,
            ["many", prefix, from, to, bytes] => {
                for n in from.parse::<u32>().unwrap()..to.parse().unwrap() {
                    put(rods, &path(&format!("{prefix}{n:02}")), &content(bytes)).await;
                }
            }
            ["sizes", prefix, count] => {
                for n in 0..count.parse().unwrap() {
                    let name = format!("{prefix}{n:02}.dat");
                    put(rods, &path(&name), &vec![b'.'; n]).await;
                }
            }
            ["resource", name] => {
                let vault = format!("/var/lib/irods/{name}Vault");
                let vault = String::from_utf8(places.to_here(vault.as_bytes())).unwrap();
                let host = format!("localhost:{vault}");
                rods.admin(&["add", "resource", name, "unixfilesystem", &host, ""])
                    .await;
            }
            ["replicate", name, resource] => {
                let input = DataObjInp {
                    cond_input: wish(keywords::DEST_RESC_NAME, resource),
                    ..object(&path(name))
                };
                rods.call(api::DATA_OBJ_REPL, &input).await.ok();
            }
            ["checksum", name] => {
                rods.call(api::DATA_OBJ_CHKSUM, &object(&path(name)))
                    .await
                    .ok();
            }
            ["unlink", name] => assert_eq!(rods.unlink(&path(name), KeyValPair::new()).await, 0),
            ["user", name, password] => {
                rods.admin(&["add", "user", name, "rodsuser"]).await;
                rods.admin(&["modify", "user", name, "password", password, "no-scramble"])
                    .await;
            }
            ["access", level, user, name] => {
                let input = ModAccessControlInp {
                    access_level: Some((*level).to_owned()),
                    user_name: Some((*user).to_owned()),
                    zone: Some("tempZone".into()),
                    path: Some(path(name)),
                    ..ModAccessControlInp::default()
                };
                rods.call(api::MOD_ACCESS_CONTROL, &input).await.ok();
            }
            ["avu", name, attribute, value, unit] => {
                let text = |s: &str| Some(s.to_owned());
                let input = ModAvuMetadataInp {
                    arg0: text("add"),
                    arg1: text("-d"),
                    arg2: Some(path(name)),
                    arg3: text(attribute),
                    arg4: text(value),
                    arg5: text(unit.trim_matches('-')),
                    ..ModAvuMetadataInp::default()
                };
                rods.call(api::MOD_AVU_METADATA, &input).await.ok();
            }
            ["file", name, bytes] => {
                let file = files.join(name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, content(bytes)).unwrap();
            }
            ["register", name, file] => {
                let (path, file) = (path(name), files.join(file));
                assert_eq!(rods.register(&path, &file, KeyValPair::new()).await, 0);
            }
            other => panic!("{scenario}: {other:?} is no step"),
        }
    }
}

async fn put(rods: &mut Peer, path: &str, bytes: &[u8]) {
    assert_eq!(rods.put(path, bytes).await, 0, "{path}");
}
