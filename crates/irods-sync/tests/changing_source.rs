//! A source that changes between the scan and the end of an upload, and a vault that is full: what could not be done is in the
//! ledger, nothing half-written looks whole, and `retry` finishes it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::path::{Path, PathBuf};
use std::process::Command;

use irods_client::collection::ReplicaStatus;
use support::job_file::{BROKER, JobFile};
use support::proxy::{Fault, Proxy};
use support::{PROGRAM, Running, Site, environment, ran};

/// So large that most of it is still unread when the first of it is held on its way: no socket buffers that much.
const LARGE: u64 = 64 << 20;

fn in_zone(site: &Site, words: &str) -> Command {
    let mut command = site.command(&format!("{words} --broker sqlite:{BROKER}"));
    command.env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json");
    command
}

const START: &str = "start src /tempZone/home/rods/t --synchronous --job_name j --operation PUT_SYNC --concurrency 1 --files_per_task 100";

/// Starts an upload of the source, changes it while the file `a large` is on its way, and lets it end.
fn changed_on_the_way(site: &Site, change: impl FnOnce(&Path)) -> support::Ran {
    changed_on_the_way_of(site, "a large", change)
}

/// The same with a file of another path.
fn changed_on_the_way_of(site: &Site, large: &str, change: impl FnOnce(&Path)) -> support::Ran {
    let large = site.file(large, b"");
    let file = std::fs::File::options().write(true).open(&large).unwrap();
    file.set_len(LARGE).unwrap();
    let port = environment(&site.path("zone/irods_environment.json")).port;
    let proxy = Proxy::start(port, |_| Fault::Hold(1 << 20));
    let mut start = in_zone(site, START);
    start.env("IRODS_PORT", proxy.port.to_string());
    let started = Running::spawn(&mut start);
    proxy.wait_until_held();
    change(&site.path("src"));
    proxy.release();
    started.output()
}

/// `a large` alone is in the ledger, with the reason, and nothing of it in the zone.
#[track_caller]
fn assert_large_failed(site: &Site) {
    let failures = JobFile::new(site).failures("j");
    let [(path, why)] = failures.as_slice() else {
        panic!("{failures:?}");
    };
    assert!(path.ends_with("/src/a large"), "{path}");
    assert!(
        why.contains("size of the source") && why.contains("nothing was left behind"),
        "{why}"
    );
    let left = site.catalog().remove("a large");
    assert!(left.is_none(), "{left:?}");
}

/// The next pass brings the collection in step, whatever was left.
#[track_caller]
fn assert_put_right(site: &Site) {
    let again = ran(&mut in_zone(site, &START.replace("name j", "name again"))).expect(0);
    assert_eq!(again.number("failed"), 0);
    site.assert_uploaded();
}

#[test]
fn the_file_on_its_way_shrinks() {
    let site = Site::new();
    let _zone = site.zone();
    site.file("z", b"the last in the chunk");
    let ended = changed_on_the_way(&site, |src| {
        let large = std::fs::File::options()
            .write(true)
            .open(src.join("a large"));
        large.unwrap().set_len(LARGE / 2).unwrap();
    });
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!((ended.number("uploaded"), ended.number("failed")), (1, 1));
    assert_large_failed(&site);
    assert_put_right(&site);
}

/// The old file comes back with the times that it had, after another of its name was uploaded in part, because of `meddle`.
#[track_caller]
fn assert_uploaded_again(code: i32, meddle: impl FnOnce(&Site)) {
    let site = Site::new();
    let _zone = site.zone();
    site.file("d/a large", b"the one that stays");
    let start = |name: &str| in_zone(&site, &START.replace("name j", name));
    ran(&mut start("name first")).expect(0);
    let (here, kept) = (site.path("src/d"), site.path("kept"));
    std::fs::rename(&here, &kept).unwrap();
    let ended = changed_on_the_way_of(&site, "d/a large", |_| meddle(&site));
    assert_eq!(ended.code, Some(code), "{ended:?}");
    std::fs::remove_dir_all(&here).unwrap();
    std::fs::rename(&kept, &here).unwrap();
    let again = ran(&mut start("name again")).expect(0);
    assert_eq!(again.number("uploaded"), 1, "{again:?}");
    site.assert_uploaded();
}

#[test]
fn what_a_failed_upload_has_gone_over_is_uploaded_again() {
    assert_uploaded_again(1, |site| {
        let large = site.path("src/d/a large");
        let large = std::fs::File::options().write(true).open(large);
        large.unwrap().set_len(LARGE / 2).unwrap();
    });
}

#[test]
fn what_a_stopped_upload_has_gone_over_is_uploaded_again() {
    assert_uploaded_again(4, |site| {
        ran(&mut site.command(&format!("stop j --now --broker sqlite:{BROKER}"))).expect(0);
    });
}

/// What was queued because of its permissions alone has other bytes when its turn comes.
#[test]
fn a_file_whose_permissions_changed_changes_before_its_turn() {
    let site = Site::new();
    let _zone = site.zone();
    let small = site.file("b small", b"as it was");
    let start = |name: &str| in_zone(&site, &START.replace("name j", name));
    ran(&mut start("name first")).expect(0);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&small, mode).unwrap();
    let ended = changed_on_the_way(&site, |_| std::fs::write(&small, b"as it is").unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((ended.number("uploaded"), ended.number("failed")), (2, 0));
    site.assert_uploaded();
}

#[test]
fn the_file_on_its_way_grows() {
    let site = Site::new();
    let _zone = site.zone();
    let ended = changed_on_the_way(&site, |src| {
        let large = std::fs::File::options()
            .write(true)
            .open(src.join("a large"));
        large.unwrap().set_len(LARGE + 1000).unwrap();
    });
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_large_failed(&site);
    assert_put_right(&site);
}

#[test]
fn files_change_between_scan_and_upload() {
    let site = Site::new();
    let _zone = site.zone();
    for name in [
        "shrinks",
        "grows",
        "vanishes",
        "stays",
        "becomes a directory",
        "becomes a link",
    ] {
        site.file(name, b"as it was when it was scanned");
    }
    let ended = changed_on_the_way(&site, |src| {
        std::fs::write(src.join("shrinks"), b"short").unwrap();
        std::fs::write(
            src.join("grows"),
            b"as it was when it was scanned, and longer",
        )
        .unwrap();
        for name in ["vanishes", "becomes a directory", "becomes a link"] {
            std::fs::remove_file(src.join(name)).unwrap();
        }
        std::fs::create_dir(src.join("becomes a directory")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", src.join("becomes a link")).unwrap();
    });
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failures = JobFile::new(&site).failures("j");
    let failed: Vec<&str> = failures
        .iter()
        .map(|(path, _)| path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        failed,
        ["becomes a directory", "becomes a link", "vanishes"],
        "{failures:#?}"
    );
    assert_eq!((ended.number("uploaded"), ended.number("failed")), (4, 3));
    let catalog = site.catalog();
    assert_eq!(catalog.len(), 4, "{catalog:#?}");
    std::fs::remove_file(site.path("src/becomes a link")).unwrap();
    assert_put_right(&site);
}

/// A zone in a mount name space of its own, whose vault is a file system of so many bytes.
struct SmallVault {
    zone: Running,
    vault: PathBuf,
}

impl SmallVault {
    fn new(site: &Site, bytes: usize) -> Option<Self> {
        std::fs::create_dir_all(site.path("zone/Vault")).unwrap();
        let inside = |script: &str| {
            let mut command = Command::new("unshare");
            command
                .args(["--map-root-user", "--mount", "sh", "-ec", script])
                .current_dir(site.path(""));
            command
        };
        let mount = format!("mount -t tmpfs -o size={bytes} tmpfs zone/Vault");
        if !inside(&mount)
            .output()
            .is_ok_and(|ran| ran.status.success())
        {
            eprintln!("SKIPPED: no small file system can be mounted here");
            return None;
        }
        let mut zone = Running::spawn(&mut inside(&format!("{mount}; exec {PROGRAM} zone zone")));
        zone.wait_for_line("is open at");
        // The name space of the process can be looked into from outside.
        let vault = site.path("zone/Vault").canonicalize().unwrap();
        let vault = Path::new(&format!("/proc/{}/root", zone.0.id()))
            .join(vault.strip_prefix("/").unwrap());
        Some(SmallVault { zone, vault })
    }
}

#[test]
fn a_full_vault_is_retried_when_there_is_room() {
    let site = Site::new();
    let Some(small) = SmallVault::new(&site, 24 << 20) else {
        return;
    };
    let ballast = small.vault.join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    for number in 0..6 {
        site.file(&format!("small{number}"), &vec![number; 1_500_000]);
    }
    // One that is streamed, and does not fit however often it is tried.
    site.file("a large", &vec![7; 9_000_000]);
    let full = ran(&mut in_zone(&site, START));
    assert_eq!(full.code, Some(1), "{full:?}");
    let (uploaded, failed) = (full.number("uploaded"), full.number("failed"));
    assert_eq!(uploaded + failed, 7);
    assert!(failed >= 2, "{}", full.out);
    let jobs = JobFile::new(&site);
    let failures = jobs.failures("j");
    assert_eq!(failures.len() as u64, failed);
    for (path, why) in &failures {
        assert!(
            why.contains("ENOSPC") || why.contains("No space left"),
            "{path}: {why}"
        );
    }
    let good = |name: &str| {
        site.catalog()[name]
            .iter()
            .all(|r| r.status == ReplicaStatus::Good)
    };
    let whole = site.catalog().into_iter().filter(|(name, replicas)| {
        replicas.iter().any(|replica| {
            let size = std::fs::metadata(site.path("src").join(name))
                .unwrap()
                .len();
            let good = replica.status == ReplicaStatus::Good;
            assert!(!good || replica.size == size, "{name}: {replica:?}");
            good
        })
    });
    assert_eq!(whole.count() as u64, uploaded);

    std::fs::remove_file(&ballast).unwrap();
    let queued = ran(&mut in_zone(&site, "retry j")).expect(0);
    assert_eq!(queued.out, format!("{failed} queued again\n"));
    let _worker = Running::spawn(&mut in_zone(&site, "worker"));
    ran(&mut in_zone(&site, "watch j")).expect(0);
    assert!(jobs.failures("j").is_empty());
    assert!(good("a large"));
    for (name, replicas) in site.catalog() {
        let [replica] = replicas.as_slice() else {
            panic!("{name}: {replicas:?}");
        };
        assert_eq!(replica.status, ReplicaStatus::Good, "{name}");
        let inside = replica.path.to_string();
        let file = PathBuf::from(format!("/proc/{}/root{inside}", small.zone.0.id()));
        let source = std::fs::read(site.path("src").join(&name)).unwrap();
        assert!(std::fs::read(file).unwrap() == source, "{name}");
    }
}
