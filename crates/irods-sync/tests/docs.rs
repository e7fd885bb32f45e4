//! The documentation says what is true: tests that it names exist, and tables that it shows are those of the code.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ingest::plan::table;
use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(directory: &Path, into: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_pages_name_exists() {
    let mut code = String::new();
    for krate in std::fs::read_dir(root().join("crates")).unwrap() {
        for part in ["src", "tests"] {
            let directory = krate.as_ref().unwrap().path().join(part);
            if directory.is_dir() {
                sources(&directory, &mut code);
            }
        }
    }
    let functions = Regex::new(r"fn ([a-z0-9_]+)").unwrap();
    let have: BTreeSet<&str> = functions
        .captures_iter(&code)
        .map(|c| c.get(1).unwrap().as_str())
        .collect();
    let pages = ["docs/semantics.md", "docs/checklist.md"];
    let text = pages.map(|page| std::fs::read_to_string(root().join(page)).unwrap());
    let text = text.concat();
    let names = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`").unwrap();
    let named: Vec<&str> = names
        .captures_iter(&text)
        .map(|c| c.get(1).unwrap().as_str())
        .collect();
    assert!(named.len() > 50, "only {} tests are named", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !have.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// `UPDATE_DOCS=1` writes the page instead of comparing it.
#[test]
fn the_decision_table_is_the_code_s() {
    let page = format!(
        "# What is decided\n\nWritten from the code. Rows are what the catalog holds and how the file compares with what is \
         remembered;\ncolumns are operations.\n\n{}\n\n## Operations and delete modes\n\n{}\n",
        table::decision_table().trim_end(),
        table::compatibility_matrix().trim_end()
    );
    let path = root().join("docs/decisions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page,
        "run with UPDATE_DOCS=1"
    );
}
