//! Links that are followed: what they lead to is ingested under the link's name, circles and dead ends are told, and nothing is
//! deleted for them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::os::unix::fs::symlink;

use ingest::broker::Job;
use ingest::plan::{DeleteMode, Operation};
use ingest::sync_task::JobOptions;
use support::{Site, let_times_settle};

fn following(operation: Operation, delete_mode: DeleteMode) -> JobOptions {
    JobOptions {
        operation,
        delete_mode,
        follow_symlinks: true,
        files_per_task: 2,
        ..JobOptions::default()
    }
}

/// A tree with links within it, out of it, round in it and to nothing; and what lies outside.
async fn site() -> Site {
    let site = Site::new().await;
    site.write("real/a", "a");
    let outside = site.dir.path().join("outside");
    std::fs::create_dir_all(outside.join("deep")).unwrap();
    std::fs::write(outside.join("deep/b"), "bb").unwrap();
    std::fs::write(outside.join("c"), "ccc").unwrap();
    let source = site.source();
    symlink("real", source.join("again")).unwrap();
    symlink(&outside, source.join("out")).unwrap();
    symlink("../outside/c", source.join("file")).unwrap();
    symlink("..", source.join("real/up")).unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    let_times_settle(&source.join("dangling")).await;
    site
}

async fn names(site: &Site) -> Vec<String> {
    let catalog = site.catalog().await;
    catalog
        .iter()
        .map(|(name, replicas)| match replicas.first() {
            Some(replica) => format!("{name} {}", replica.size),
            None => name.to_string(),
        })
        .collect()
}

async fn errors(site: &Site, job: &Job) -> Vec<(String, String)> {
    let source = site.source();
    let failures = site.failures(job).await;
    let mut told: Vec<_> = failures
        .iter()
        .map(|record| {
            let path = String::from_utf8_lossy(&record.failure.path);
            let path = path.strip_prefix(source.to_str().unwrap()).unwrap();
            (path.to_owned(), record.failure.code_name.clone())
        })
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_links_become_what_they_lead_to_and_circles_are_told() {
    for (operation, mode) in [
        (Operation::RegisterSync, DeleteMode::Unregister),
        (Operation::PutSync, DeleteMode::NoTrash),
    ] {
        let site = site().await;
        let options = || following(operation, mode);
        let job = site.run(options()).await;
        let mut expected = vec![
            "/again",
            "/again/a 1",
            "/file 3",
            "/out",
            "/out/c 3",
            "/out/deep",
            "/out/deep/b 2",
            "/real",
            "/real/a 1",
        ];
        // `nowhere`: a link that leads to nothing is one, and has nothing to upload.
        if operation.registers() {
            expected.insert(2, "/dangling 7");
        }
        assert_eq!(names(&site).await, expected, "{operation}");
        let circles = ["/again/up", "/real/up"].map(|path| (path, "SOURCE_LOOP"));
        let mut wrong = circles.to_vec();
        if operation.uploads() {
            wrong.insert(1, ("/dangling", "SOURCE_DANGLING_LINK"));
        }
        let wrong: Vec<_> = wrong
            .iter()
            .map(|(path, name)| ((*path).to_owned(), (*name).to_owned()))
            .collect();
        assert_eq!(errors(&site, &job).await, wrong, "{operation}");

        // Once more: nothing is done, nothing is gone.
        let job = site.run(options()).await;
        let t = job.totals;
        assert_eq!((t.registered + t.uploaded + t.updated, t.deleted), (0, 0));
        assert_eq!(names(&site).await, expected, "{operation}");

        // What a link leads to changes, or is away: the first is followed, the second is not gone.
        let outside = site.dir.path().join("outside");
        std::fs::write(outside.join("c"), "cccc").unwrap();
        std::fs::remove_file(outside.join("deep/b")).unwrap();
        std::fs::rename(site.source().join("real"), site.source().join("moved")).unwrap();
        let_times_settle(&outside.join("c")).await;
        site.run(options()).await;
        let found = names(&site).await;
        assert!(found.contains(&"/out/c 4".to_owned()), "{found:?}");
        assert!(found.contains(&"/file 4".to_owned()), "{found:?}");
        assert!(found.contains(&"/out/deep".to_owned()), "{found:?}");
        assert!(!found.contains(&"/out/deep/b 2".to_owned()), "{found:?}");
        assert!(found.contains(&"/moved/a 1".to_owned()), "{found:?}");
        assert!(!found.contains(&"/real/a 1".to_owned()), "{found:?}");
        let again = "/again/a 1".to_owned();
        assert!(found.contains(&again), "its link is there: {found:?}");

        // The link itself goes, and with it what it led to in the zone, and nothing of the source.
        std::fs::remove_file(site.source().join("again")).unwrap();
        std::fs::remove_file(site.source().join("out")).unwrap();
        site.run(options()).await;
        let found = names(&site).await;
        assert!(
            !found
                .iter()
                .any(|n| n.starts_with("/again") || n.starts_with("/out"))
        );
        assert!(outside.join("c").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_follows_links_as_the_job_does_and_then_they_are_equal() {
    let site = site().await;
    std::fs::remove_file(site.source().join("dangling")).unwrap();
    let options = following(Operation::RegisterSync, DeleteMode::DoNotDelete);
    let survey = site.survey(&options).await;
    let planned = survey.forecast(None, |_| {}).await.unwrap();
    let totals = site.run(options).await.totals;
    assert_eq!(
        (
            planned.registered,
            planned.failed,
            planned.collections_created
        ),
        (totals.registered, totals.failed, totals.collections_created)
    );
    let verified = survey.verify(false, |difference| {
        let path = String::from_utf8_lossy(&difference.path).into_owned();
        // Of the circles nothing is in the zone.
        assert!(path.ends_with("/up"), "{difference:?}");
    });
    verified.await.unwrap();
}
