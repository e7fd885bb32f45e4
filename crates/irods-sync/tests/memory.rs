//! The worker's memory does not grow with the number of files. `bench/memory.py` measures the same on larger trees.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use support::job_file::{BROKER, JobFile};
use support::{Running, Site, ran};

/// The largest resident size that a worker had when it had registered so many files, in KiB. The zone is another process.
fn peak(files: usize) -> u64 {
    let site = Site::new();
    for number in 0..files {
        let directory = site.path(&format!("src/d{}", number / 500));
        if number % 500 == 0 {
            std::fs::create_dir(&directory).unwrap();
        }
        std::fs::File::create(directory.join(format!("f{number}"))).unwrap();
    }
    let _zone = site.zone();
    let in_zone = |words: &str| {
        let mut command = site.command(&format!("{words} --broker sqlite:{BROKER}"));
        command.env("IRODS_ENVIRONMENT_FILE", "zone/irods_environment.json");
        command
    };
    ran(&mut in_zone("start src /tempZone/home/rods/t --job_name j")).expect(0);
    let worker = Running::spawn(&mut in_zone("worker --concurrency 2"));
    let jobs = JobFile::new(&site);
    jobs.watch("j", |job| job.unwrap().state.has_ended());
    assert_eq!(jobs.job("j").unwrap().totals.registered, files as u64);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn ten_times_the_files_take_no_more_memory() {
    let (few, many) = (peak(1_000), peak(10_000));
    eprintln!("{few} KiB for 1,000 files, {many} KiB for 10,000");
    assert!(many < few + 10 * 1024, "{few} KiB, {many} KiB");
}
