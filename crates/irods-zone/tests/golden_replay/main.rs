//! The client side of every recorded exchange with a real server, played against a fresh zone: each reply is the
//! recorded one up to ids, times, hosts, vault paths, releases and tokens, or its difference is listed with a reason in
//! `golden_differences.txt`. A difference that is not listed fails the test, and so does a listed one that no longer occurs.
//!
//! `IRODS_GOLDEN_ONLY=prc_avu` plays the scenarios whose names begin so and prints all differences.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod accepted;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod connection;
mod recording;
mod render;
mod replayer;
mod setup;
mod translate;

use std::sync::Arc;

use common::Peer;
use irods_zone::{Zone, ZoneOptions};
use replayer::{Compared, Player};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use translate::{Names, Places};

struct Played {
    name: String,
    compared: Vec<Compared>,
}

/// A new directory whose path has that many letters after `/tmp/`.
fn place(letters: usize) -> TempDir {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("z").rand_bytes(letters - 1);
    builder.tempdir_in("/tmp").unwrap()
}

async fn play(dir: &std::path::Path, name: &str) -> Played {
    let scenario = recording::read(dir, name);
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "rods\n").unwrap();
    // As long as the recorded paths, so that texts have the recorded lengths.
    let (dir_of_zone, files, gold) = (place(9), place(11), place(10));
    let mut options = ZoneOptions::new(dir_of_zone.path());
    options.password_file = Some(secret.path().to_owned());
    let zone = Zone::start(options).await.unwrap();
    let places = Places::new(dir_of_zone.path(), files.path(), gold.path());
    let mut rods = Peer::login(zone.address(), "rods", "rods").await;
    setup::set_up(name, &mut rods, files.path(), &places).await;
    let mut names = Names::default();
    // Ids that clients know from earlier sessions.
    let resource = rods.query(&[301], &[(302, "= 'demoResc'")]).await;
    names.words.insert("10013".into(), resource[0][0].clone());
    drop(rods);

    let mut player = Player::new(zone.address(), &places, names);
    player.play(&scenario).await;
    let compared = std::mem::take(&mut player.compared);
    drop(player);
    zone.stop().await;
    Played {
        name: name.to_owned(),
        compared,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_is_the_recorded_one_or_is_explained() {
    let Some(dir) = recording::golden_dir() else {
        return;
    };
    let only = std::env::var("IRODS_GOLDEN_ONLY").ok();
    let names = recording::names(&dir);
    let chosen = names.into_iter().filter(|name| {
        only.as_ref()
            .is_none_or(|only| name.starts_with(only.as_str()))
    });
    // Each has a zone of its own.
    let at_a_time = Arc::new(Semaphore::new(4));
    let tasks: Vec<_> = chosen
        .map(|name| {
            let (dir, at_a_time) = (dir.clone(), Arc::clone(&at_a_time));
            tokio::spawn(async move {
                let _one = at_a_time.acquire_owned().await.unwrap();
                play(&dir, &name).await
            })
        })
        .collect();
    let mut played = Vec::new();
    for task in tasks {
        played.push(task.await.unwrap());
    }
    judge(&played, only.is_some());
}

fn judge(played: &[Played], verbose: bool) {
    let mut accepted = accepted::list();
    let mut totals = [0; 3];
    let mut unexplained = Vec::new();
    for Played { name, compared } in played {
        let mut counts = [0; 3];
        for reply in compared {
            let mut explained = true;
            for difference in &reply.differences {
                let known = accepted
                    .iter_mut()
                    .find(|entry| entry.covers(name, reply.seq, &reply.call, difference));
                let line = format!(
                    "{name}:{} {} {} | {:.300} | {:.300}",
                    reply.seq,
                    reply.call,
                    difference.field,
                    difference.recorded.escape_debug().to_string(),
                    difference.ours.escape_debug().to_string()
                );
                match known {
                    Some(entry) => {
                        entry.used += 1;
                        if verbose {
                            println!("explained {line}");
                        }
                    }
                    None => {
                        explained = false;
                        unexplained.push(line);
                    }
                }
            }
            counts[match (reply.differences.is_empty(), explained) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            }] += 1;
        }
        let [equal, explained, different] = counts;
        println!("{name:<40} {equal:>5} equal {explained:>4} explained {different:>4} different");
        (0..3).for_each(|i| totals[i] += counts[i]);
    }
    let [equal, explained, different] = totals;
    println!(
        "{:<40} {equal:>5} equal {explained:>4} explained {different:>4} different",
        "all"
    );
    let unused: Vec<String> = accepted
        .iter()
        .filter(|entry| entry.used == 0 && !verbose)
        .map(accepted::Accepted::place)
        .collect();
    assert!(
        unexplained.is_empty() && unused.is_empty(),
        "{} differences (scenario:message call field | recorded | ours):\n{}\nlisted, but no longer there:\n{}",
        unexplained.len(),
        unexplained.join("\n"),
        unused.join("\n")
    );
}
