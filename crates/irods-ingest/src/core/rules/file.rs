//! The job file: TOML, with the flags of the job under `[job]` and its rules under `[[rule]]`, in their order.
//!
//! Everything that is not known is refused, with its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::pattern::Matcher;
use super::{AclRule, AvuRule, Bounds, Kind, Lines, Pattern, Rule, RuleError, Rules};
use crate::plan::Operation;
use crate::units::{parse_bytes, parse_seconds};

/// Longest job file: it is kept with its job.
const MAX_BYTES: usize = 256 << 10;

/// What a job file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFile {
    /// Under `[job]`: flags of the command line, in the order of their lines.
    pub flags: Vec<Flag>,
    /// Its rules; none if it has none.
    pub rules: Option<Rules>,
}

/// A flag in a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Without dashes, as it is written.
    pub name: String,
    /// Line of the file.
    pub line: usize,
    /// Its values; none of one that is set by being there, and of one that is not set (`false`) there is no flag.
    pub values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    job: BTreeMap<Spanned<String>, Value>,
    #[serde(default)]
    rule: Vec<Spanned<RuleText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: Option<Spanned<String>>,
    glob: Option<Spanned<Value>>,
    regex: Option<Spanned<String>>,
    kind: Option<Spanned<String>>,
    larger_than: Option<Spanned<Value>>,
    smaller_than: Option<Spanned<Value>>,
    older_than: Option<Spanned<Value>>,
    younger_than: Option<Spanned<Value>>,
    operation: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    target: Option<Spanned<String>>,
    skip: Option<Spanned<String>>,
    #[serde(default)]
    avus: Vec<Spanned<AvuText>>,
    #[serde(default)]
    acl: Vec<Spanned<AclText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AvuText {
    attribute: String,
    value: String,
    #[serde(default)]
    units: String,
    #[serde(default)]
    add: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AclText {
    user: Option<String>,
    group: Option<String>,
    level: String,
}

/// Levels that can be given.
const LEVELS: [&str; 12] = [
    "null",
    "read",
    "write",
    "own",
    "read_metadata",
    "read_object",
    "create_metadata",
    "modify_metadata",
    "delete_metadata",
    "create_object",
    "modify_object",
    "delete_object",
];

impl JobFile {
    /// From the text of a file that is called `file`. Templates are not looked at yet: see [`Rules::compile`].
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, RuleError> {
        let reader = Reader { file, text };
        if text.len() > MAX_BYTES {
            return Err(reader.error(0, format!("it is longer than {MAX_BYTES} bytes")));
        }
        let parsed: Text = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            reader.error(at, error.message().replace('\n', " "))
        })?;
        let mut flags = Vec::new();
        for (name, value) in parsed.job {
            flags.extend(reader.flag(name, value)?);
        }
        flags.sort_by_key(|flag| flag.line);
        let rules = parsed
            .rule
            .into_iter()
            .enumerate()
            .map(|(index, rule)| reader.rule(index, rule))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(JobFile {
            flags,
            rules: (!rules.is_empty()).then(|| Rules {
                file: file.to_owned(),
                rules,
                user: None,
            }),
        })
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn error(&self, at: usize, message: String) -> RuleError {
        RuleError {
            file: self.file.to_owned(),
            line: self.line(at),
            message,
        }
    }

    fn flag(&self, name: Spanned<String>, value: Value) -> Result<Option<Flag>, RuleError> {
        let at = name.span().start;
        let name = name.into_inner();
        let one = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            _ => Err(self.error(
                at,
                format!(
                    "`{name}`: a text, a whole number, true, false or a list of texts is expected"
                ),
            )),
        };
        let values = match &value {
            Value::Boolean(true) => Vec::new(),
            Value::Boolean(false) => return Ok(None),
            Value::Array(values) if !values.is_empty() => {
                values.iter().map(one).collect::<Result<_, _>>()?
            }
            value => vec![one(value)?],
        };
        Ok(Some(Flag {
            line: self.line(at),
            name,
            values,
        }))
    }

    fn rule(&self, index: usize, rule: Spanned<RuleText>) -> Result<Rule, RuleError> {
        let span = rule.span();
        let rule = rule.into_inner();
        let line = |span: Option<Range<usize>>| span.map_or(0, |span| self.line(span.start));
        let lines = Lines {
            rule: self.line(span.start),
            pattern: line(span_of(&rule.glob).or(span_of(&rule.regex))),
            operation: line(span_of(&rule.operation)),
            resource: line(span_of(&rule.resource)),
            target: line(span_of(&rule.target)),
        };
        let kind = match &rule.kind {
            None => Kind::default(),
            Some(kind) => match kind.get_ref().as_str() {
                "file" => Kind::File,
                "directory" => Kind::Directory,
                "any" => Kind::Any,
                other => {
                    let message = format!("kind `{other}` is none of file, directory, any");
                    return Err(self.error(kind.span().start, message));
                }
            },
        };
        let of_files = [
            ("operation", span_of(&rule.operation)),
            ("resource", span_of(&rule.resource)),
            ("target", span_of(&rule.target)),
        ];
        let bounds = [
            ("larger_than", span_of(&rule.larger_than)),
            ("smaller_than", span_of(&rule.smaller_than)),
            ("older_than", span_of(&rule.older_than)),
            ("younger_than", span_of(&rule.younger_than)),
        ];
        for (what, span) in of_files.iter().chain(&bounds) {
            if let (Some(span), Kind::Directory | Kind::Any) = (span, kind) {
                let message =
                    format!("{what} is for files alone: the rule must have kind = \"file\"");
                return Err(self.error(span.start, message));
            }
        }
        let pattern = self.pattern(&rule)?;
        // What is worse is told first.
        if let Err(message) = Matcher::new(&pattern) {
            let span = span_of(&rule.glob).or(span_of(&rule.regex));
            return Err(self.error(span.map_or(0, |span| span.start), message));
        }
        let chooses = !rule.avus.is_empty() || !rule.acl.is_empty() || rule.skip.is_some();
        if !chooses && of_files.iter().all(|(_, span)| span.is_none()) {
            let message = "the rule chooses nothing: operation, resource, target, skip, avus or acl is expected";
            return Err(self.error(span.start, message.to_owned()));
        }
        if let Some(skip) = rule.skip.as_ref().filter(|skip| skip.get_ref().is_empty()) {
            let message = "skip: the reason is expected, as a text".to_owned();
            return Err(self.error(skip.span().start, message));
        }
        let name = match &rule.name {
            None => format!("rule {}", index + 1),
            Some(name) => name.get_ref().clone(),
        };
        // Names are listed with commas between.
        if name.is_empty() || name.contains(|c: char| c == ',' || c.is_control()) {
            let message = "name: a text without commas and control characters is expected";
            let at = span_of(&rule.name).map_or(span.start, |span| span.start);
            return Err(self.error(at, message.to_owned()));
        }
        Ok(Rule {
            name,
            lines,
            pattern,
            kind,
            bounds: self.bounds(&rule)?,
            operation: match &rule.operation {
                None => None,
                Some(operation) => {
                    let parsed = Operation::from_str(operation.get_ref());
                    Some(
                        parsed.map_err(|error| {
                            self.error(operation.span().start, error.to_string())
                        })?,
                    )
                }
            },
            resource: rule.resource.map(Spanned::into_inner),
            target: rule.target.map(Spanned::into_inner),
            skip: rule.skip.map(Spanned::into_inner),
            avus: rule.avus.into_iter().map(|avu| self.avu(avu)).collect(),
            acl: rule
                .acl
                .into_iter()
                .map(|acl| self.acl(acl))
                .collect::<Result<_, _>>()?,
        })
    }

    fn bounds(&self, rule: &RuleText) -> Result<Bounds, RuleError> {
        let bounds = Bounds {
            larger_than: self.bound("larger_than", &rule.larger_than, parse_bytes)?,
            smaller_than: self.bound("smaller_than", &rule.smaller_than, parse_bytes)?,
            older_than: self.bound("older_than", &rule.older_than, parse_seconds)?,
            younger_than: self.bound("younger_than", &rule.younger_than, parse_seconds)?,
        };
        let is_none = |above: Option<u64>, below: Option<u64>| {
            let least = above.map_or(0, |above| above.saturating_add(1));
            below.is_some_and(|below| below <= least)
        };
        let pairs = [
            (
                is_none(bounds.larger_than, bounds.smaller_than),
                &rule.smaller_than,
                "size",
            ),
            (
                is_none(bounds.older_than, bounds.younger_than),
                &rule.younger_than,
                "age",
            ),
        ];
        for (is_none, value, what) in pairs {
            if is_none {
                let at = span_of(value).map_or(0, |span| span.start);
                return Err(self.error(at, format!("there is no such {what}")));
            }
        }
        Ok(bounds)
    }

    /// A text that is read so, or a whole number of bytes.
    fn bound(
        &self,
        name: &str,
        value: &Option<Spanned<Value>>,
        parse: fn(&str) -> Result<u64, String>,
    ) -> Result<Option<u64>, RuleError> {
        let Some(value) = value else {
            return Ok(None);
        };
        let text = match value.get_ref() {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            other => other.type_str().to_owned(),
        };
        let wrong = |why| self.error(value.span().start, format!("{name}: {why}"));
        parse(&text).map(Some).map_err(wrong)
    }

    fn pattern(&self, rule: &RuleText) -> Result<Pattern, RuleError> {
        match (&rule.glob, &rule.regex) {
            (Some(_), Some(regex)) => {
                let message = "a rule has glob or regex, not both".to_owned();
                Err(self.error(regex.span().start, message))
            }
            (None, Some(regex)) => Ok(Pattern::Regex(regex.get_ref().clone())),
            (None, None) => Ok(Pattern::All),
            (Some(glob), None) => {
                let wrong = || {
                    let message = "glob: a text or a list of texts is expected".to_owned();
                    self.error(glob.span().start, message)
                };
                let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
                match glob.get_ref() {
                    Value::Array(globs) if !globs.is_empty() => {
                        let globs = globs.iter().map(text).collect::<Result<_, _>>()?;
                        Ok(Pattern::Globs(globs))
                    }
                    glob => Ok(Pattern::Globs(vec![text(glob)?])),
                }
            }
        }
    }

    fn avu(&self, avu: Spanned<AvuText>) -> AvuRule {
        let line = self.line(avu.span().start);
        let avu = avu.into_inner();
        AvuRule {
            attribute: avu.attribute,
            value: avu.value,
            units: avu.units,
            add: avu.add,
            line,
        }
    }

    fn acl(&self, acl: Spanned<AclText>) -> Result<AclRule, RuleError> {
        let at = acl.span().start;
        let acl = acl.into_inner();
        let (name, group) = match (acl.user, acl.group) {
            (Some(user), None) => (user, false),
            (None, Some(group)) => (group, true),
            _ => {
                let message = "acl: either user or group is expected".to_owned();
                return Err(self.error(at, message));
            }
        };
        if !LEVELS.contains(&acl.level.as_str()) {
            let message = format!("level `{}` is none of {}", acl.level, LEVELS.join(", "));
            return Err(self.error(at, message));
        }
        let (who, zone) = match name.split_once('#') {
            Some((who, zone)) => (who.to_owned(), zone.to_owned()),
            None => (name, String::new()),
        };
        Ok(AclRule {
            who,
            zone,
            group,
            level: acl.level,
            line: self.line(at),
        })
    }
}

fn span_of<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
    value.as_ref().map(Spanned::span)
}
