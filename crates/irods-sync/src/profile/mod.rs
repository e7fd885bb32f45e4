//! The profile of a job as files: JSON for machines, and a page of it for people.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ingest::broker::{Broker, Job};
use ingest::profile::Profile;
use ingest::sync_task::JobSpec;

use crate::exit::{Exit, Failed, Result};
use crate::ui;

mod page;
mod report;

use report::Report;

/// Longest that is waited for what workers have not handed in yet when a job has ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The two files that a path stands for: with `.json` and with `.html`.
fn files(path: &Path) -> [PathBuf; 2] {
    let known = |end| path.extension().is_some_and(|own| own == end);
    let base = match known("json") || known("html") {
        true => path.with_extension(""),
        false => path.to_owned(),
    };
    ["json", "html"].map(|end| {
        let mut name = base.clone().into_os_string();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    })
}

/// Refuses a path where no files can be.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let wrong = |what: String| {
        Err(Failed::usage(format!(
            "--profile {}: {what}",
            path.display()
        )))
    };
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return wrong("the name of a file is expected".to_owned()),
    };
    if !directory.is_dir() {
        return wrong(format!("{} is no directory", directory.display()));
    }
    match files(path).iter().find(|file| file.is_dir()) {
        Some(file) => wrong(format!("{} is a directory", file.display())),
        None if path.is_dir() => {
            wrong("it is a directory; the name of a file is expected".to_owned())
        }
        None => Ok(()),
    }
}

/// Writes the profile of a job as it is known now.
///
/// # Errors
/// The job was started without, or the broker cannot be used.
pub async fn write(broker: &dyn Broker, job: &Job, path: &Path) -> Result<Exit> {
    let spec = spec(job)?;
    let (_, bytes) = broker.profile(job.id).await?;
    let profile = Profile::read(&bytes).map_err(Failed::could_not_run)?;
    let report = Report::new(job, &spec, &profile);
    let [json, html] = files(path);
    let text = serde_json::to_string(&report).map_err(Failed::could_not_run)?;
    for (file, text) in [(&json, text + "\n"), (&html, page::page(&report))] {
        if let Err(error) = std::fs::write(file, text) {
            let file = ui::plain(file.display().to_string().as_bytes());
            ui::note(&format!("irods_sync: cannot write {file}: {error}"));
            return Ok(Exit::Done.without_output());
        }
    }
    let [json, html] = [json, html].map(|file| ui::plain(file.display().to_string().as_bytes()));
    ui::note(&format!("profile: {json}, {html}"));
    Ok(Exit::Done)
}

/// The same of a job that has just ended, once its workers have handed in what they measured. One that was killed does not: after some
/// seconds what there is is written.
///
/// # Errors
/// As [`write()`].
pub async fn write_ended(broker: &dyn Broker, job: &Job, path: &Path) -> Result<Exit> {
    spec(job)?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let (_, bytes) = broker.profile(job.id).await?;
        let profile = Profile::read(&bytes).map_err(Failed::could_not_run)?;
        if profile.whole().tasks >= job.totals.tasks || broker.workers().await?.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    write(broker, job, path).await
}

/// What the job is, if it is one that is measured.
fn spec(job: &Job) -> Result<JobSpec> {
    let spec: JobSpec = serde_json::from_slice(&job.spec).map_err(Failed::could_not_run)?;
    match spec.options.profile {
        true => Ok(spec),
        false => {
            let name = ui::plain(job.name.as_bytes());
            let why = "it was started without --profile";
            Err(Failed::usage(format!("job {name} has no profile: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_stands_for_both_files() {
        let named = |name: &str| files(Path::new(name)).map(|file| file.display().to_string());
        let expected = ["a/run.json", "a/run.html"].map(str::to_owned);
        for name in ["a/run", "a/run.json", "a/run.html"] {
            assert_eq!(named(name), expected);
        }
        assert_eq!(named("run.7")[0], "run.7.json");
    }
}
