//! A page in a headless Chromium: what it shows, what it complains about, what it asks for.
//!
//! The browser is told over a pipe in its own protocol (Chrome DevTools): messages of JSON, each ended by a zero byte. It looks up no
//! name, and ends with its pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub struct Browser {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _home: tempfile::TempDir,
}

/// Where the program is, if it is there: `IRODS_TEST_CHROMIUM`, else in the path.
fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("IRODS_TEST_CHROMIUM") {
        return Some(program.into());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("chromium"))
        .find(|program| program.exists())
}

impl Browser {
    /// Opens a file; none, and a line about it, where there is no browser.
    pub fn open(file: &Path) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!(
                "SKIPPED: there is no chromium in the path and IRODS_TEST_CHROMIUM is not set"
            );
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let mut process = Command::new("sh")
            // It hears and speaks on 3 and 4.
            .args([
                "-c",
                r#"exec 3<&0 4>&1 </dev/null >/dev/null 2>&1; exec "$@""#,
                "sh",
            ])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Browser {
            requests: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
            session: None,
            last: 0,
            events: Vec::new(),
            _home: home,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Network", "Page"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let url = format!("file://{}", file.display());
        let gone = browser.call("Page.navigate", json!({ "url": url }));
        assert_eq!(gone["errorText"], Value::Null, "{gone}");
        while !browser
            .events
            .iter()
            .any(|event| event["method"] == "Page.loadEventFired")
        {
            let event = browser.hear();
            browser.events.push(event);
        }
        Some(browser)
    }

    fn hear(&mut self) -> Value {
        let mut message = Vec::new();
        self.answers.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&message).unwrap()
    }

    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        write!(self.requests, "{request}\0").unwrap();
        loop {
            let mut message = self.hear();
            if message["id"] == self.last {
                assert_eq!(message["error"], Value::Null, "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", asked);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{answer}");
        answer["result"]["value"].take()
    }

    /// Lets the page think that people want it so: `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// What scripts threw, wrote to the console, or the browser found wrong.
    pub fn complaints(&self) -> Vec<&Value> {
        let wrong = [
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        ];
        let events = self.events.iter();
        events
            .filter(|event| wrong.iter().any(|method| event["method"] == *method))
            .collect()
    }

    /// The addresses that were asked for.
    pub fn requests(&self) -> Vec<&str> {
        let asked = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        asked
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
