//! Job files: what their rules choose is done, planned and refused as the documentation says.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use irods_client::Connection;
use irods_client::collection::ReplicaStatus;
use irods_client::metadata::{Avu, Entity};
use serde_json::Value;
use support::{Ran, Site};

const TARGET: &str = "/tempZone/home/rods/t";

/// The example of the documentation.
fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job.toml")
}

fn start(site: &Site, file: &Path, more: &str) -> Ran {
    let file = file.display();
    site.start(&format!("--job_file {file} {more}"))
}

fn job_file(site: &Site, text: &str) -> std::path::PathBuf {
    let path = site.path("job.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn names(site: &Site) -> BTreeSet<String> {
    let objects = site.objects(TARGET).into_keys();
    objects
        .map(|path| path.strip_prefix(TARGET).unwrap().to_owned())
        .collect()
}

#[test]
fn the_example_does_what_the_documentation_says() {
    let site = Site::new();
    for name in [
        "run7/lane1/a.fastq",
        "run7/lane2/b.fastq",
        "run8/c.bam",
        "notes.txt",
        "run7/scratch/big",
        "x.tmp",
        ".git/config",
    ] {
        site.file(name, name.as_bytes());
    }
    // What the rules speak of: a group.
    {
        let _zone = site.zone();
        site.ask(async |zone| {
            admin(zone, ["add", "group", "lab", "tempZone", ""]).await;
        });
    }
    let planned = {
        let words = format!(
            "plan src {TARGET} --embedded_zone zone --json --job_file {}",
            example().display()
        );
        site.run(&words).expect(0)
    };
    let lines: Vec<Value> = planned
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let by_rule = &lines.last().unwrap()["by_rule"];
    let hits = |rule: &str| by_rule[rule].as_u64().unwrap();
    assert_eq!(
        [
            hits("sequences"),
            hits("temporary"),
            hits("version control"),
            hits("everything")
        ],
        [3, 2, 1, 6],
        "{by_rule}"
    );
    let of_a = lines
        .iter()
        .find(|line| {
            line["path"]
                .as_str()
                .is_some_and(|p| p.ends_with("a.fastq"))
        })
        .unwrap();
    assert_eq!(of_a["chosen_by"], "sequences, everything");

    let ran = start(&site, &example(), "--synchronous --json").expect(0);
    let status: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(status["operation"], "PUT_SYNC");
    assert_eq!(status["totals"]["uploaded"], 4, "{status}");
    assert_eq!(status["totals"]["left_out"], 3, "{status}");
    let planned = &lines.last().unwrap()["totals"];
    for what in ["uploaded", "left_out", "failed"] {
        assert_eq!(planned[what], status["totals"][what], "{what}");
    }

    let _zone = site.zone();
    let year = jiff_year(&site.path("src/run7/lane1/a.fastq"));
    let expected = [
        format!("/sequences/run7/{year}/a.fastq"),
        format!("/sequences/run7/{year}/b.fastq"),
        format!("/sequences/run8/{year}/c.bam"),
        "/notes.txt".to_owned(),
    ];
    assert_eq!(names(&site), BTreeSet::from(expected.clone()));
    let object = format!("{TARGET}{}", expected[0]);
    let (avus, access) = site.ask(async |zone| {
        let avus = zone.list_avus(Entity::DataObject(&object)).await.unwrap();
        (avus, zone.list_access(&object).await.unwrap())
    });
    let avus: BTreeMap<_, _> = avus
        .into_iter()
        .map(|avu| (avu.attribute.clone(), (avu.value, avu.units)))
        .collect();
    let pair = |value: &str, units: &str| (value.to_owned(), units.to_owned());
    assert_eq!(avus["run"], pair("run7", ""));
    assert_eq!(avus["format"], pair("fastq", ""));
    assert_eq!(avus["size"], pair("18", "bytes"));
    let told = std::process::Command::new("stat")
        .args(["--format", "%U %G"])
        .arg(site.path("src/run7/lane1/a.fastq"))
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let (user, group) = told.trim_end().split_once(' ').unwrap();
    assert_eq!(avus["owner"], pair(user, group));
    let lab = access.iter().find(|access| access.user == "lab").unwrap();
    assert_eq!(lab.level, "read_object");

    // Once more: nothing is done.
    let ran = start(&site, &example(), "--synchronous --json").expect(0);
    let status: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(status["totals"]["uploaded"], 0, "{status}");
}

/// Which rule hit is told of what is unchanged, too.
#[test]
fn a_plan_counts_what_each_rule_is_for() {
    let site = Site::new();
    site.file("a.dat", b"1");
    site.file("b.txt", b"2");
    let file = job_file(
        &site,
        "[[rule]]\nname = \"data\"\nglob = \"*.dat\"\ntarget = \"data/{name}\"\n",
    );
    let flags = "--operation PUT_SYNC";
    start(&site, &file, &format!("{flags} --synchronous")).expect(0);
    // Files that were written a moment ago count as changed for a while.
    start(&site, &file, &format!("{flags} --synchronous")).expect(0);
    let words = format!(
        "plan src {TARGET} --embedded_zone zone --json --job_file {} {flags}",
        file.display()
    );
    let planned = site.run(&words).expect(0);
    let last: Value = serde_json::from_str(planned.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["by_rule"]["data"], 1, "{planned:?}");
}

/// What is too young is left out until it is old enough; what is done does not change with age.
#[test]
fn files_are_chosen_by_size_and_age() {
    let site = Site::new();
    let young = site.file("young", b"1");
    let aged = |path: &Path, hours: u64| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
        file.set_modified(time).unwrap();
    };
    aged(&young, 0);
    for (name, size, hours) in [("small", 10, 2), ("large", 2000, 2), ("old", 10, 50)] {
        aged(&site.file(name, &vec![b'x'; size]), hours);
    }
    let file = job_file(
        &site,
        "[job]\noperation = \"PUT_SYNC\"\n\
         [[rule]]\nname = \"unfinished\"\nyounger_than = \"1h\"\nskip = \"too young\"\n\
         [[rule]]\nname = \"large\"\nlarger_than = \"1K\"\ntarget = \"large/{name}\"\n\
         [[rule]]\nname = \"old\"\nolder_than = \"2d\"\nsmaller_than = 11\ntarget = \"old/{name}\"\n",
    );
    let planned = |hits: [u64; 3]| {
        let words = format!(
            "plan src {TARGET} --embedded_zone zone --json --job_file {}",
            file.display()
        );
        let planned = site.run(&words).expect(0);
        let last: Value = serde_json::from_str(planned.out.lines().last().unwrap()).unwrap();
        let by_rule = ["unfinished", "large", "old"].map(|rule| last["by_rule"][rule].as_u64());
        assert_eq!(by_rule, hits.map(Some), "{planned:?}");
        last["totals"].clone()
    };
    let run = || {
        let ran = start(&site, &file, "--synchronous --json").expect(0);
        let status: Value = serde_json::from_str(&ran.out).unwrap();
        status["totals"].clone()
    };
    let numbers =
        |totals: &Value| ["uploaded", "left_out"].map(|what| totals[what].as_u64().unwrap());
    let totals = planned([1, 1, 1]);
    assert_eq!(numbers(&totals), [3, 1]);
    assert_eq!(numbers(&run()), [3, 1]);
    aged(&young, 2);
    assert_eq!(numbers(&planned([0, 1, 1])), [1, 0]);
    assert_eq!(numbers(&run()), [1, 0]);
    let _zone = site.zone();
    let expected = ["/large/large", "/old/old", "/small", "/young"];
    assert_eq!(names(&site), BTreeSet::from(expected.map(str::to_owned)));
}

fn jiff_year(path: &Path) -> i64 {
    let modified = path.metadata().unwrap().modified().unwrap();
    let seconds = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut year = 1970;
    let mut days = seconds / 86400;
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = if leap { 366 } else { 365 };
        if days < length {
            return year;
        }
        days -= length;
        year += 1;
    }
}

async fn admin(zone: &mut Connection, words: [&str; 5]) {
    use irods_client::connection::Request;
    use irods_client::protocol::{api, message::GeneralAdminInp};
    let [verb, what, name, four, five] = words.map(|text| Some(text.to_owned()));
    let input = GeneralAdminInp {
        arg0: verb,
        arg1: what,
        arg2: name,
        arg3: four,
        arg4: five,
        ..GeneralAdminInp::default()
    };
    let request = Request::new(api::GENERAL_ADMIN, words[2]);
    zone.call(request, Some(&input)).await.unwrap();
}

#[test]
fn avus_of_rules_follow_their_files_and_are_not_doubled() {
    let site = Site::new();
    site.file("a.dat", b"1");
    let file = job_file(
        &site,
        "[job]\noperation = \"PUT_SYNC\"\n[[rule]]\navus = [{ attribute = \"size\", value = \"{size}\" }]\n\
         [[rule]]\nkind = \"directory\"\navus = [{ attribute = \"of\", value = \"{name}\" }]\nacl = [{ user = \"rods\", level = \"own\" }]\n",
    );
    site.file("d/b", b"22");
    start(&site, &file, "--synchronous").expect(0);
    site.file("a.dat", b"333");
    start(&site, &file, "--synchronous --ignore_cache").expect(0);
    let _zone = site.zone();
    let (of_object, of_collection) = site.ask(async |zone| {
        let object = format!("{TARGET}/a.dat");
        let collection = format!("{TARGET}/d");
        let of_object = zone.list_avus(Entity::DataObject(&object)).await.unwrap();
        let of_collection = zone.list_avus(Entity::Collection(&collection)).await;
        (of_object, of_collection.unwrap())
    });
    assert_eq!(of_object, [Avu::new("size", "3", "")]);
    assert_eq!(of_collection, [Avu::new("of", "d", "")]);
}

/// In the hands of the embedded zone, as in those of a server: what may not be written is not opened, so nothing is cut off.
#[test]
fn what_a_job_has_no_right_to_change_stays_as_it_is() {
    let site = Site::new();
    site.file("small", b"1");
    site.file("large", &[1; 5_000_000]);
    {
        let _zone = site.zone();
        site.ask(async |zone| {
            admin(zone, ["add", "user", "alice", "rodsuser", ""]).await;
        });
    }
    let flags = "--synchronous --operation PUT_SYNC";
    let file = job_file(
        &site,
        "[[rule]]\nacl = [{ user = \"alice\", level = \"own\" }]\n",
    );
    start(&site, &file, flags).expect(0);
    let objects = ["small", "large"].map(|name| format!("{TARGET}/{name}"));
    {
        let _zone = site.zone();
        site.ask(async |zone| {
            for object in &objects {
                zone.set_access(object, "null", "rods", "", false)
                    .await
                    .unwrap();
            }
        });
    }
    site.file("small", &[2; 5_000_000]);
    site.file("large", b"2");
    let ran = start(&site, &file, &format!("{flags} --job_name j")).expect(1);
    assert_eq!(ran.number("failed"), 2, "{ran:?}");
    let failures = site.run("failures j").expect(0);
    assert!(
        failures.out.contains("CAT_NO_ACCESS_PERMISSION"),
        "{failures:?}"
    );
    let _zone = site.zone();
    let sizes = site.ask(async |zone| {
        let mut sizes = Vec::new();
        for object in &objects {
            let replica = zone.replicas(object).await.unwrap().remove(0);
            let on_disk = std::fs::metadata(replica.path.to_string()).unwrap().len();
            assert_eq!(
                (replica.size, replica.status),
                (on_disk, ReplicaStatus::Good)
            );
            sizes.push(on_disk);
        }
        sizes
    });
    assert_eq!(sizes, [1, 5_000_000]);
}

#[test]
fn two_files_for_one_target_are_refused_and_planned_so() {
    let site = Site::new();
    site.file("a/x", b"1");
    site.file("b/x", b"22");
    site.file("c/y", b"333");
    // One after the other: of two that come at the same time, both may be refused.
    let flags = "--operation PUT_SYNC --target_template {name} --job_name j";
    let ran = site
        .start(&format!("{flags} --synchronous --concurrency 1"))
        .expect(1);
    assert_eq!((ran.number("uploaded"), ran.number("failed")), (2, 1));
    let failures = site.run("failures j --json").expect(0);
    let failure: Value = serde_json::from_str(&failures.out).unwrap();
    assert_eq!(failure["error"], "TARGET_TAKEN", "{failure}");
    let _zone = site.zone();
    assert_eq!(
        names(&site),
        BTreeSet::from(["/x".to_owned(), "/y".to_owned()])
    );

    // In one directory it is known before anything is done.
    let other = Site::new();
    other.file("a.1", b"1");
    other.file("b.1", b"22");
    let words = format!(
        "plan src {TARGET} --embedded_zone zone --target_template {{dir}}/{{ext}} --operation PUT"
    );
    let plan = other.run(&words).expect(0);
    assert!(
        plan.out.contains("1 uploaded") && plan.out.contains("1 failed"),
        "{}",
        plan.out
    );
}

#[test]
fn a_template_that_keeps_the_directory_goes_with_a_delete_mode() {
    let site = Site::new();
    site.file("d/a.txt", b"1");
    site.file("d/b.txt", b"1");
    let flags = "--operation PUT_SYNC --delete_mode NO_TRASH --target_template {dir}/v1_{name} --synchronous";
    site.start(flags).expect(0);
    std::fs::remove_file(site.path("src/d/a.txt")).unwrap();
    let ran = site.start(flags).expect(0);
    assert_eq!(ran.number("removed"), 1, "{}", ran.out);
    let _zone = site.zone();
    assert_eq!(names(&site), BTreeSet::from(["/d/v1_b.txt".to_owned()]));
}

#[test]
fn an_object_of_one_file_is_not_taken_for_another_s() {
    let site = Site::new();
    site.file("d/a.log", b"aaaa");
    let flags =
        "--operation PUT_APPEND --target_template {dir}/current.{ext} --synchronous --job_name";
    site.start(&format!("{flags} first")).expect(0);
    std::fs::remove_file(site.path("src/d/a.log")).unwrap();
    site.file("d/b.log", b"bbbbbbbbbbbb");
    let ran = site.start(&format!("{flags} second")).expect(1);
    assert_eq!((ran.number("appended"), ran.number("failed")), (0, 1));
    let failures = site.run("failures second").expect(0);
    assert!(failures.out.contains("TARGET_TAKEN"), "{failures:?}");
    let _zone = site.zone();
    assert_eq!(site.objects(TARGET)[&format!("{TARGET}/d/current.log")], 4);
}

#[test]
fn no_file_of_the_source_is_written_over() {
    let site = Site::new();
    let a = site.file("a", b"AAA");
    let c = site.file("c", b"CCC");
    site.start("--synchronous").expect(0);
    let file = job_file(
        &site,
        "[[rule]]\nglob = 'c'\ntarget = 'a'\n[[rule]]\nglob = 'a'\nskip = 'no'\n",
    );
    let more = "--operation PUT_SYNC --synchronous --job_name j";
    let planned = site.run(&format!(
        "plan src {TARGET} --embedded_zone zone --job_file {} --operation PUT_SYNC",
        file.display()
    ));
    assert!(planned.out.contains("a file of this source"), "{planned:?}");
    start(&site, &file, more).expect(1);
    let failures = site.run("failures j").expect(0);
    assert!(
        failures.out.contains("a file of this source"),
        "{failures:?}"
    );
    assert_eq!(std::fs::read(a).unwrap(), b"AAA");
    assert_eq!(std::fs::read(c).unwrap(), b"CCC");
}

#[test]
fn what_is_wrong_in_a_job_file_is_one_line_and_nothing_is_queued() {
    let site = Site::new();
    site.file("f", b"1");
    let rule = "[[rule]]\nglob = \"*\"\n";
    for (text, more, says) in [
        (
            "[job]\noperation = \"PUTT\"\n".to_owned(),
            "",
            "line 2: invalid value 'PUTT'",
        ),
        (
            "[job]\n\nresorce = \"x\"\n".to_owned(),
            "",
            "line 3: `resorce` is no flag",
        ),
        (
            "[job]\nbroker = \"sqlite:x\"\n".to_owned(),
            "",
            "line 2: `broker` is no flag",
        ),
        (
            "[job]\nsynchronous = \"yes\"\n".to_owned(),
            "",
            "line 2: synchronous: true or false",
        ),
        (
            "[job]\nmax_retries = true\n".to_owned(),
            "",
            "line 2: max_retries: a value",
        ),
        (
            "[job]\noperation = \"PUT\"\n".to_owned(),
            "--operation PUT_SYNC",
            "line 2: operation is PUT here, and PUT_SYNC as typed",
        ),
        (
            format!("{rule}skipp = \"x\"\n"),
            "",
            "line 3: unknown field `skipp`",
        ),
        (format!("{rule}target = \"{{mtime:%!}}\"\n"), "", "line 3: "),
        (
            format!("{rule}resource = \"nowhere\"\n"),
            "",
            "line 3: resource nowhere does not exist",
        ),
        (
            format!("{rule}acl = [{{ user = \"nobody\", level = \"read\" }}]\n"),
            "",
            "line 3: user nobody does not exist",
        ),
        (
            format!("{rule}acl = [{{ group = \"rods\", level = \"read\" }}]\n"),
            "",
            "line 3: rods is a user",
        ),
        (
            format!(
                "{rule}acl = [\n  {{ group = \"public\", level = \"null\" }},\n  {{ user = \"rods#tempZone\", level = \"null\" }}]\n"
            ),
            "",
            "line 5: level null would take from rods, as whom the job acts",
        ),
        (
            format!("{rule}target = \"../{{name}}\"\n"),
            "",
            "line 3: target `../{name}`: a target with `..` in it is no path",
        ),
        (
            format!("{rule}operation = \"PUT\"\n"),
            "--delete_mode UNREGISTER",
            "line 3: operation [Operation.PUT] and delete_mode",
        ),
        (
            String::new(),
            "--as_user nobody",
            "user nobody of --as_user does not exist",
        ),
        (
            String::new(),
            "--target_template {nmae}",
            "`{nmae}`: `{nmae}` is none of path, dir, name",
        ),
        (
            String::new(),
            "--target_template {name} --delete_mode UNREGISTER",
            "a target must be one name of its own in the collection of its directory",
        ),
    ] {
        let file = job_file(&site, &text);
        for command in ["start", "plan"] {
            let ran = site.run(&format!(
                "{command} src {TARGET} --embedded_zone zone --job_file {} {more}",
                file.display()
            ));
            assert_eq!(ran.code, Some(2), "{text} {ran:?}");
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
            assert!(ran.err.contains(says), "{text}\n{}", ran.err);
            assert_eq!(ran.out, "");
        }
    }
    let missing = site.start("--job_file none.toml");
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("cannot read job file none.toml"));
    let list = site.run("list --json").expect(0);
    assert_eq!(list.out, "");
    // The same value twice is no contradiction.
    let file = job_file(&site, "[job]\noperation = \"PUT\"\nchecksum = true\n");
    start(&site, &file, "--operation PUT --synchronous").expect(0);
}

#[test]
fn verify_looks_where_rules_have_put_files() {
    let site = Site::new();
    site.file("a.dat", b"data");
    site.file("b.log", b"log");
    site.file("c.tmp", b"scratch");
    let file = job_file(
        &site,
        "[job]\noperation = \"PUT_SYNC\"\n
         [[rule]]\nname = \"data\"\nglob = \"*.dat\"\ntarget = \"kept/{name}\"\n
         [[rule]]\nname = \"scratch\"\nglob = \"*.tmp\"\nskip = \"no need\"\n",
    );
    start(&site, &file, "--synchronous").expect(0);
    let verify = |more: &str| {
        let file = file.display();
        site.run(&format!(
            "verify src {TARGET} --embedded_zone zone --job_file {file} {more}"
        ))
    };
    let same = verify("--checksum").expect(0);
    assert!(same.out.starts_with("0 differences in 2 files"), "{same:?}");
    assert!(same.out.contains("1 left out"), "{same:?}");
    // Without the rules it is missing where its name says, and what the rules left out is.
    let plain = format!("verify src {TARGET} --embedded_zone zone --operation PUT_SYNC");
    let plain = site.run(&plain).expect(1);
    assert!(plain.out.contains("a.dat: not in the zone"), "{plain:?}");
    assert!(plain.out.contains("c.tmp: not in the zone"), "{plain:?}");
    // What has been put there by choice says so, and is no surplus.
    assert!(!plain.out.contains("not in the source"), "{plain:?}");
    site.file("a.dat", b"other data");
    let differs = verify("").expect(1);
    assert!(
        differs.out.contains("a.dat: 10 bytes here, 4 there"),
        "{differs:?}"
    );
}
