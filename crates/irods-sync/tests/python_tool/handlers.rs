//! Handlers in the Python tool's API, one for each that comes with it (of our own writing), run unchanged under both tools on the same
//! source, twice, with edits in between: the catalogs are equal.
//!
//! All of them with `IRODS_TEST_ALL_HANDLERS`, else some.

use std::collections::{BTreeMap, BTreeSet};

use irods_client::Connection;
use irods_client::connection::Request;
use irods_client::metadata::Entity;
use irods_client::protocol::{api, message::GeneralAdminInp};

use crate::HOME;
use crate::catalog::{Catalog, below, with_content};
use crate::differences::{compare, next_second};
use crate::support::{Site, ran};
use crate::tool::{Order, PythonTool};

const HEAD: &str = "
import os
import re
import time
from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.redis_utils import get_redis
from irods_capability_automated_ingest.utils import DeleteMode, Operation


def mark(meta, text):
    with open(os.path.join(os.path.dirname(meta['src_path']), 'mark' + meta['root_target_collection'].replace('/', '-')), 'a') as out:
        out.write(text + ' ')


def tag(session, path, name, value, units):
    session.collections.get(path).metadata.add(name, value, units)


def fail_first(meta):
    key = 'failures:' + meta['job_name'] + meta['path']
    if get_redis(meta['config']).incr(key) < 2:
        raise RuntimeError('the first time')


class event_handler(Core):
";

/// The method that answers an operation.
fn operation(name: &str) -> String {
    method(
        "operation(session, meta, **options)",
        &format!("return Operation.{name}"),
    )
}

fn resource(name: &str) -> String {
    method(
        "to_resource(session, meta, **options)",
        &format!("return '{name}'"),
    )
}

fn method(head: &str, body: &str) -> String {
    format!("    @staticmethod\n    def {head}:\n        {body}\n\n")
}

/// Both hooks of an event, which tag a collection.
fn tags(event: &str, operation: &str) -> String {
    let (on, value) = match event {
        "coll_modify" => ("meta['target']", "'a job'"),
        _ => ("os.path.dirname(meta['target'])", "meta['target']"),
    };
    ["pre", "post"]
        .map(|when| {
            method(
                &format!("{when}_{event}(hdlr_mod, logger, session, meta, *args, **options)"),
                &format!("tag(session, {on}, '{when}_{event}', {value}, '{operation}')"),
            )
        })
        .concat()
}

/// Names and bodies; those that run always come first.
fn handlers() -> (Vec<(String, String)>, usize) {
    let file_hook = |when: &str, body: &str| {
        let head = format!("{when}(hdlr_mod, logger, session, meta, *args, **options)");
        method(&head, body)
    };
    let number = |name: &str, value: u32| {
        let arguments = if name == "delay" { ", retries" } else { "" };
        method(
            &format!("{name}(hdlr_mod, logger, meta{arguments})"),
            &format!("return {value}"),
        )
    };
    let map = method(
        "character_map()",
        "return {re.compile('[^a-zA-Z0-9]'): '_'}",
    );
    let put = operation("PUT");
    let register = operation("REGISTER_SYNC");
    let mut all = vec![
        ("register_using_char_map", register.clone() + &map),
        ("put_using_char_map", put.clone() + &map),
        (
            "coll_create_pre_and_post",
            register.clone() + &tags("coll_create", "REGISTER_SYNC"),
        ),
        (
            "data_obj_create_pre_and_post",
            put.clone() + &tags("data_obj_create", "PUT"),
        ),
        (
            "retry",
            file_hook("pre_data_obj_create", "fail_first(meta)")
                + &number("max_retries", 3)
                + &number("delay", 0),
        ),
    ]
    .into_iter()
    .map(|(name, body)| (name.to_owned(), body))
    .collect::<Vec<_>>();
    let some = all.len();
    let more = [
        ("register", register.clone()),
        ("put", put.clone()),
        ("sync", operation("PUT_SYNC")),
        ("append", operation("PUT_APPEND")),
        ("no_op", operation("NO_OP")),
        (
            "coll_modify_pre_and_post",
            register.clone() + &tags("coll_modify", "REGISTER_SYNC"),
        ),
        (
            "data_obj_modify_pre_and_post",
            operation("PUT_SYNC") + &tags("data_obj_modify", "PUT_SYNC"),
        ),
        (
            "metadata",
            register.clone()
                + &file_hook(
                    "post_data_obj_create",
                    "session.data_objects.get(meta['target']).metadata.add('filesystem::mode', str(os.stat(meta['path']).st_mode), '')",
                ),
        ),
        (
            "register_with_peps",
            [
                "data_obj_create",
                "data_obj_modify",
                "coll_create",
                "coll_modify",
            ]
            .map(|event| {
                ["pre", "post"]
                    .map(|when| {
                        let body =
                            format!("logger.info('{when}_{event}:[' + meta['target'] + ']')");
                        file_hook(&format!("{when}_{event}"), &body)
                    })
                    .concat()
            })
            .concat(),
        ),
        (
            "pre_job",
            method("pre_job(hdlr_mod, logger, meta)", "mark(meta, 'pre_job')"),
        ),
        (
            "post_job",
            method("post_job(hdlr_mod, logger, meta)", "mark(meta, 'post_job')"),
        ),
        (
            "timeout",
            file_hook("pre_data_obj_create", "time.sleep(2)") + &number("timeout", 1),
        ),
        (
            "no_retry",
            file_hook("pre_data_obj_create", "fail_first(meta)"),
        ),
        (
            "sync_retry",
            operation("PUT_SYNC") + &number("max_retries", 3),
        ),
    ];
    all.extend(more.map(|(name, body)| (name.to_owned(), body)));
    for (kind, word) in [
        ("register", "REGISTER_SYNC"),
        ("put", "PUT"),
        ("sync", "PUT_SYNC"),
        ("append", "PUT_APPEND"),
        ("replica", "REGISTER_AS_REPLICA_SYNC"),
    ] {
        for (place, name) in [
            ("with_resc_name", "leafA"),
            ("root_with_resc_name", "top"),
            ("non_leaf_non_root_with_resc_name", "middle"),
        ] {
            all.push((format!("{kind}_{place}"), operation(word) + &resource(name)));
        }
    }
    (all, some)
}

#[test]
fn handlers_run_unchanged_under_both_tools() {
    let (mut handlers, some) = handlers();
    if std::env::var_os("IRODS_TEST_ALL_HANDLERS").is_none() {
        handlers.truncate(some);
    }
    let site = Site::new();
    for name in ["a.txt", "plain", "d e/b.txt"] {
        site.file(name, name.as_bytes());
    }
    let _zone = site.zone();
    let Some(tool) = PythonTool::start(&site) else {
        return;
    };
    site.ask(async |zone| add_resources(zone, &site).await);
    let source = site.path("src").canonicalize().unwrap();
    let texts: Vec<String> = handlers
        .iter()
        .map(|(_, body)| format!("{HEAD}{body}    pass\n"))
        .collect();
    let mut lines = BTreeSet::new();
    for run in 1..3 {
        let theirs: Vec<String> = handlers
            .iter()
            .map(|(name, _)| format!("{HOME}/theirs/{name}/t"))
            .collect();
        let orders: Vec<Order<'_>> = texts
            .iter()
            .zip(&theirs)
            .map(|(text, target)| Order {
                source: source.to_str().unwrap(),
                target,
                operation: "",
                delete_mode: "",
                resource: None,
                text: Some(text),
                flags: "--files_per_task 1",
            })
            .collect();
        // Few at a time: they share two workers.
        let failed: Vec<u64> = orders.chunks(5).flat_map(|some| tool.run(some)).collect();
        for ((name, _), (text, failed_there)) in handlers.iter().zip(texts.iter().zip(failed)) {
            std::fs::write(site.path("ours.py"), text).unwrap();
            let mut command = site.command("start --embedded_zone zone --synchronous --event_handler ours.py --files_per_task 1");
            command
                .arg(&source)
                .arg(format!("{HOME}/ours/{name}/t"))
                .args([
                    "--python",
                    &std::env::var("IRODS_TEST_INGEST_TOOL").unwrap(),
                ]);
            let here = ran(&mut command);
            assert!(matches!(here.code, Some(0 | 1)), "{name}: {here:?}");
            let mut found = BTreeSet::new();
            let failed_here = here.number("failed");
            if failed_there != failed_here {
                let [all, what] = ["all", "failures"].map(str::to_owned);
                found.insert([all, what, failed_there.to_string(), failed_here.to_string()]);
            }
            let [theirs, ours] = site.ask(async |zone| {
                [
                    outcome(zone, &site, "theirs", name).await,
                    outcome(zone, &site, "ours", name).await,
                ]
            });
            let objects = theirs.keys().filter(|entry| entry.contains('#')).count();
            assert!(
                objects > 2 || failed_there > 2 || name == "no_op",
                "{name}: {theirs:?}"
            );
            compare(&theirs, &ours, &mut found);
            for [entry, what, theirs, ours] in found {
                lines.insert(format!(
                    "{name} | {run} | {entry} | {what} | {theirs} | {ours}"
                ));
            }
        }
        // Later by the catalog's seconds, as by the tool's memory.
        next_second(&site);
        for name in ["a.txt", "plain", "d e/b.txt", "d e/new"] {
            std::fs::write(source.join(name), format!("{name}, longer")).unwrap();
        }
        next_second(&site);
    }
    let lines: Vec<String> = lines.into_iter().collect();
    assert!(lines.is_empty(), "{}\n{}", lines.join("\n"), tool.log());
}

/// What a tool left of one handler, in words that do not depend on when and where it ran.
async fn outcome(zone: &mut Connection, site: &Site, whose: &str, name: &str) -> Catalog {
    let top = format!("{HOME}/{whose}/{name}");
    let vaults = ["Vault", "vaultA", "vaultB"]
        .map(|vault| site.path(&format!("zone/{vault}")).display().to_string());
    let source = site
        .path("src")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    let say = |text: &str| {
        let mut text = text
            .replace(&top, "TARGET")
            .replace(&format!("/{whose}/"), "/WHOSE/")
            .replace(&source, "SOURCE");
        for vault in &vaults {
            text = text.replace(vault, "VAULT");
        }
        // Which of two leaves a random resource takes is chance.
        text.replace("leafB", "leafA")
    };
    let mut found = Catalog::new();
    let mut catalog = below(zone, &top).await;
    for vault in &vaults {
        catalog = with_content(catalog, vault.as_ref());
    }
    for (entry, mut fields) in catalog {
        if fields
            .get("path")
            .is_some_and(|path| !path.starts_with(&source))
        {
            // When it was uploaded.
            fields.remove("time");
        }
        if let Some(collection) = entry.strip_suffix('/') {
            let path = format!("{top}{collection}");
            let mut avus: Vec<String> = zone
                .list_avus(Entity::Collection(&path))
                .await
                .unwrap()
                .into_iter()
                .map(|avu| format!("{}, {}, {}", avu.attribute, avu.value, avu.units))
                .collect();
            avus.sort();
            fields.insert("metadata", avus.join("; "));
        }
        let fields = fields.into_iter().map(|(name, text)| (name, say(&text)));
        found.insert(say(&entry), fields.collect());
    }
    let mark = site.path(&format!("mark{}", format!("{top}/t").replace('/', "-")));
    if let Ok(mark) = std::fs::read_to_string(mark) {
        found.insert("mark".to_owned(), BTreeMap::from([("content", mark)]));
    }
    found
}

/// A hierarchy of three: `top` above `middle` above `leafA` and `leafB`.
async fn add_resources(zone: &mut Connection, site: &Site) {
    let vault = |name: &str| format!("localhost:{}", site.path(&format!("zone/{name}")).display());
    let (a, b) = (vault("vaultA"), vault("vaultB"));
    for words in [
        ["add", "resource", "top", "random", "", ""],
        ["add", "resource", "middle", "random", "", ""],
        ["add", "resource", "leafA", "unixfilesystem", &a, ""],
        ["add", "resource", "leafB", "unixfilesystem", &b, ""],
        ["add", "childtoresc", "top", "middle", "", ""],
        ["add", "childtoresc", "middle", "leafA", "", ""],
        ["add", "childtoresc", "middle", "leafB", "", ""],
    ] {
        let [arg0, arg1, arg2, arg3, arg4, arg5] = words.map(|word| Some(word.to_owned()));
        let input = GeneralAdminInp {
            arg0,
            arg1,
            arg2,
            arg3,
            arg4,
            arg5,
            ..GeneralAdminInp::default()
        };
        let request = Request::new(api::GENERAL_ADMIN, "");
        zone.call(request, Some(&input)).await.unwrap();
    }
}
