//! Jobs with an event handler in Python.

use std::process::Command;

use super::{Ran, Site, ran};

/// What handler files begin with here.
pub const HEAD: &str = r#"
from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.utils import DeleteMode, Operation
import os

def note(*words):
    line = " ".join(str(word) for word in words) + "\n"
    with open(os.environ["HANDLER_OUT"], "a") as out:
        out.write(line)
"#;

/// A Python that has python-irodsclient, where the tests were given one.
pub fn python() -> String {
    std::env::var("IRODS_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// `start --synchronous` with a handler whose class has this body.
pub fn start(site: &Site, body: &str, more: &str) -> Ran {
    start_file(site, &file(body), more)
}

/// A handler file whose class has this body.
pub fn file(body: &str) -> String {
    format!("{HEAD}\nclass event_handler(Core):\n{body}\n")
}

pub fn start_file(site: &Site, text: &str, more: &str) -> Ran {
    ran(&mut command(site, text, "/tempZone/home/rods/t", more))
}

/// The same, into another collection and still to be run.
pub fn command(site: &Site, text: &str, target: &str, more: &str) -> Command {
    std::fs::write(site.path("handler.py"), text).unwrap();
    let words = format!(
        "start src {target} --embedded_zone zone --synchronous --job_name j --event_handler handler.py --python {} {more}",
        python()
    );
    let mut command = site.command(&words);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.env("HANDLER_OUT", site.path("out"));
    command
}

/// What handlers noted, sorted.
pub fn out(site: &Site) -> Vec<String> {
    let mut lines = noted(site);
    lines.sort();
    lines
}

/// What handlers noted, as it came.
pub fn noted(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.path("out")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
