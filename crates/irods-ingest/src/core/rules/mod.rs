//! Rules: what is chosen for single entries, declared rather than programmed.
//!
//! A job file ([`JobFile`]) is parsed and checked as a whole ([`Rules::compile`], [`Rules::check`]) before anything is queued;
//! the job carries the rules, so every worker applies the same ones. What they choose for an entry is a pure function of its path, its facts
//! and the time ([`Compiled::choose`]).
//!
//! All rules that match an entry apply, in the order of the file. Of what there can be only one (operation, resource, target, skip), the first rule that says
//! something counts; AVUs and permissions add up. No rule applies to the source root itself.

use irods_client::access::Grant;
use irods_client::metadata::Avu;
use serde::{Deserialize, Serialize};

use super::choice::{Choice, ChosenAvu, Targets};
use crate::naming;
use crate::plan::{DeleteMode, Operation, check_compatible};
use crate::source::{Stat, Timestamp};
use crate::spec::JobOptions;

mod file;
mod handler;
mod in_zone;
mod pattern;
mod template;
mod with_handler;

pub use file::{Flag, JobFile};
pub(crate) use handler::RuleHandler;
use pattern::Matcher;
use template::Template;

/// The rules of a job, as it carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The file that they were read from, for messages.
    pub file: String,
    /// In their order.
    pub rules: Vec<Rule>,
    /// As whom everything is done, `name` or `name#zone`; none: as the worker's own user.
    pub user: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called.
    pub name: String,
    /// Where it stands in its file.
    pub lines: Lines,
    /// Which paths it is for.
    pub pattern: Pattern,
    /// Which entries it is for.
    pub kind: Kind,
    /// Of these, which files by their facts.
    #[serde(default, skip_serializing_if = "Bounds::are_none")]
    pub bounds: Bounds,
    /// What is done with a file.
    pub operation: Option<Operation>,
    /// The resource of a file.
    pub resource: Option<String>,
    /// Where a file is put, below the job's target: a template.
    pub target: Option<String>,
    /// Why the entry is left out.
    pub skip: Option<String>,
    /// AVUs that it gets.
    pub avus: Vec<AvuRule>,
    /// Permissions that it gives.
    pub acl: Vec<AclRule>,
}

/// Lines of a file, from 1 on; 0 of what is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Of the rule's beginning.
    pub rule: usize,
    /// Of its pattern.
    pub pattern: usize,
    /// Of its operation.
    pub operation: usize,
    /// Of its resource.
    pub resource: usize,
    /// Of its target.
    pub target: usize,
}

/// Paths, relative to the source root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// All of them.
    All,
    /// Those that one of these matches. One without a slash is for names at any depth, one with a slash for the whole path.
    Globs(Vec<String>),
    /// Those that this expression matches as a whole; its named groups can be used in templates.
    Regex(String),
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whatever is no directory.
    #[default]
    File,
    /// Directories.
    Directory,
    /// Both.
    Any,
}

/// Facts that a file must have, all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// It has more bytes.
    pub larger_than: Option<u64>,
    /// It has fewer bytes.
    pub smaller_than: Option<u64>,
    /// Its content changed more seconds ago.
    pub older_than: Option<u64>,
    /// Its content changed fewer seconds ago.
    pub younger_than: Option<u64>,
}

impl Bounds {
    fn are_none(&self) -> bool {
        *self == Bounds::default()
    }

    /// Whether a file has these facts now. Where they are not known it has none of them.
    fn hold(&self, stat: Option<&Stat>, now: Timestamp) -> bool {
        let Some(stat) = stat else {
            return self.are_none();
        };
        // Of what is yet to come: none, and less than any.
        let age = now.seconds.saturating_sub(stat.mtime.seconds);
        let age = u64::try_from(age).unwrap_or(0);
        self.larger_than.is_none_or(|size| stat.size > size)
            && self.smaller_than.is_none_or(|size| stat.size < size)
            && self.older_than.is_none_or(|seconds| age > seconds)
            && self.younger_than.is_none_or(|seconds| age < seconds)
    }
}

/// An AVU with templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvuRule {
    /// Attribute.
    pub attribute: String,
    /// Value; where it comes out empty the entry does not get the AVU, since iRODS takes none without a value.
    pub value: String,
    /// Units.
    pub units: String,
    /// Others of the attribute stay.
    pub add: bool,
    /// Line of the file.
    pub line: usize,
}

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclRule {
    /// User or group.
    pub who: String,
    /// Its zone; empty for the local one.
    pub zone: String,
    /// It is a group.
    pub group: bool,
    /// `null`, `read`, `write`, `own`, or one of 4.3's finer levels.
    pub level: String,
    /// Line of the file.
    pub line: usize,
}

/// What is wrong with a job file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// From 1 on; 0 of what is in no file.
    pub line: usize,
    /// What is wrong, and what is accepted.
    pub message: String,
}

impl RuleError {
    /// About something that is in no file.
    fn in_no_file(message: String) -> Self {
        RuleError {
            file: String::new(),
            line: 0,
            message,
        }
    }

    fn place(&self) -> String {
        match self.line {
            0 => String::new(),
            line => format!("{}: line {line}: ", self.file),
        }
    }
}

/// An entry as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Path relative to the source root, not empty.
    pub path: &'a [u8],
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its facts, where they are known; of a directory they are not used.
    pub stat: Option<&'a Stat>,
    /// When it is looked at.
    pub now: Timestamp,
}

/// Rules ready for use.
#[derive(Debug)]
pub struct Compiled {
    rules: Vec<CompiledRule>,
    targets: Targets,
}

#[derive(Debug)]
struct CompiledRule {
    rule: Rule,
    matcher: Matcher,
    target: Option<Template>,
    /// Attribute, value and units of each AVU.
    avus: Vec<[Template; 3]>,
}

impl Rules {
    /// The rules of a file, if there is one, and what flags add to them: a target for what has none by a rule, and a user.
    pub fn with_flags(
        rules: Option<Rules>,
        target: Option<String>,
        user: Option<String>,
    ) -> Option<Rules> {
        if target.is_none() && user.is_none() {
            return rules;
        }
        let mut rules = rules.unwrap_or(Rules {
            file: String::new(),
            rules: Vec::new(),
            user: None,
        });
        rules.rules.extend(target.map(|target| Rule {
            name: "--target_template".to_owned(),
            lines: Lines::default(),
            pattern: Pattern::All,
            kind: Kind::File,
            bounds: Bounds::default(),
            operation: None,
            resource: None,
            target: Some(target),
            skip: None,
            avus: Vec::new(),
            acl: Vec::new(),
        }));
        rules.user = user.or(rules.user);
        Some(rules)
    }

    /// Name and zone of the user that everything is done as; an empty zone is the local one.
    pub fn user(&self) -> Option<(&str, &str)> {
        let user = self.user.as_deref()?;
        Some(user.split_once('#').unwrap_or((user, "")))
    }

    /// Checks patterns and templates.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn compile(&self) -> Result<Compiled, RuleError> {
        let rules = self
            .rules
            .iter()
            .map(|rule| self.compile_rule(rule))
            .collect::<Result<Vec<_>, _>>()?;
        let targets = rules
            .iter()
            .filter_map(|rule| rule.target.as_ref())
            .map(|target| match target.is_one_name_of_its_own() {
                true => Targets::Names,
                false => Targets::Anywhere,
            })
            .max();
        Ok(Compiled {
            rules,
            targets: targets.unwrap_or(Targets::Own),
        })
    }

    fn compile_rule(&self, rule: &Rule) -> Result<CompiledRule, RuleError> {
        let at = |line: usize| move |message| self.error(line, message);
        let matcher = Matcher::new(&rule.pattern).map_err(at(rule.lines.pattern))?;
        let captures = matcher.captures();
        let facts = rule.kind == Kind::File;
        let template = |text: &str, line| Template::new(text, &captures, facts).map_err(at(line));
        let avu = |avu: &AvuRule| {
            let [attribute, value, units] =
                [&avu.attribute, &avu.value, &avu.units].map(|text| template(text, avu.line));
            Ok([attribute?, value?, units?])
        };
        Ok(CompiledRule {
            target: match &rule.target {
                Some(text) => {
                    let target = template(text, rule.lines.target)?;
                    let wrong =
                        |why| self.error(rule.lines.target, format!("target `{text}`: {why}"));
                    target.can_be_path().map_err(wrong)?;
                    Some(target)
                }
                None => None,
            },
            avus: rule.avus.iter().map(avu).collect::<Result<_, _>>()?,
            matcher,
            rule: rule.clone(),
        })
    }

    /// Checks what depends on the job: operations that do not go with its delete mode or lack a resource, targets that leave no way
    /// to tell what is gone, owners of objects in a bucket.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self, options: &JobOptions) -> Result<(), RuleError> {
        let compiled = self.compile()?;
        for compiled in &compiled.rules {
            let CompiledRule {
                rule, target, avus, ..
            } = compiled;
            if options.bucket.is_some() {
                let targets = target.iter().map(|target| (target, rule.lines.target));
                let lines = rule.avus.iter().map(|avu| avu.line);
                let avus = avus.iter().zip(lines);
                let avus =
                    avus.flat_map(|(texts, line)| texts.iter().map(move |text| (text, line)));
                if let Some((_, line)) = targets.chain(avus).find(|(text, _)| text.needs_owners()) {
                    let message = "objects in a bucket have no owner and no group".to_owned();
                    return Err(self.error(line, message));
                }
            }
            if let Some(operation) = rule.operation {
                let together = check_compatible(operation, options.delete_mode);
                together.map_err(|error| self.error(rule.lines.operation, error.to_string()))?;
                let resource = rule.resource.as_ref().or(options.resource.as_ref());
                if operation == Operation::RegisterAsReplicaSync && resource.is_none() {
                    let message = format!("operation {operation} needs a resource");
                    return Err(self.error(rule.lines.operation, message));
                }
            }
            let elsewhere = target
                .as_ref()
                .is_some_and(|target| !target.is_one_name_of_its_own());
            if elsewhere && options.delete_mode != DeleteMode::DoNotDelete {
                let message = format!(
                    "with delete mode {} a target must be one name of its own in the collection of its directory, as \
                     `{{dir}}/v1_{{name}}`, or it could not be told what is gone",
                    options.delete_mode
                );
                return Err(self.error(rule.lines.target, message));
            }
        }
        Ok(())
    }

    /// The resources that are named, each with its line.
    pub fn resources(&self) -> impl Iterator<Item = (&str, usize)> {
        let resource = |rule: &Rule| rule.resource.as_ref().map(|_| rule.lines.resource);
        self.rules.iter().filter_map(move |rule| {
            let line = resource(rule)?;
            Some((rule.resource.as_deref()?, line))
        })
    }

    /// The permissions that are given.
    pub fn grants(&self) -> impl Iterator<Item = &AclRule> {
        self.rules.iter().flat_map(|rule| &rule.acl)
    }

    /// An error in the file of these rules.
    pub fn error(&self, line: usize, message: String) -> RuleError {
        RuleError {
            file: self.file.clone(),
            line,
            message,
        }
    }
}

impl Compiled {
    /// Where entries may be put.
    pub fn targets(&self) -> Targets {
        self.targets
    }

    /// What the rules choose for an entry. `target` is the job's target collection.
    pub fn choose(&self, entry: &Entry<'_>, target: &str) -> Choice {
        let mut choice = Choice::default();
        let mut names = Vec::new();
        for compiled in &self.rules {
            let rule = &compiled.rule;
            let concerns = match rule.kind {
                Kind::Any => true,
                Kind::Directory => entry.is_directory,
                Kind::File => !entry.is_directory,
            };
            if !concerns || !rule.bounds.hold(entry.stat, entry.now) {
                continue;
            }
            let Some(captures) = compiled.matcher.matches(entry.path) else {
                continue;
            };
            names.push(rule.name.as_str());
            choice.skip = choice.skip.or_else(|| rule.skip.clone());
            choice.operation = choice.operation.or(rule.operation);
            if let (None, Some(resource)) = (&choice.resource, &rule.resource) {
                choice.resource = Some(Some(resource.clone()));
            }
            let facts = template::Facts {
                path: naming::logical_path("", b"", entry.path),
                stat: entry.stat,
                captures,
            };
            let applied = compiled.apply(&facts, target, &mut choice);
            if let (Err(why), None) = (applied, &choice.wrong) {
                choice.wrong = Some(why);
            }
        }
        if !names.is_empty() {
            choice.chosen_by = Some(names.join(", "));
        }
        choice
    }
}

impl CompiledRule {
    /// Adds what comes from templates.
    fn apply(
        &self,
        facts: &template::Facts<'_>,
        target: &str,
        choice: &mut Choice,
    ) -> Result<(), String> {
        if let (None, Some(template)) = (&choice.target, &self.target) {
            let below = template.path(facts)?;
            choice.target = Some(format!("{}/{below}", target.trim_end_matches('/')));
        }
        for ([attribute, value, units], rule) in self.avus.iter().zip(&self.rule.avus) {
            let avu = Avu::new(
                attribute.text(facts)?,
                value.text(facts)?,
                units.text(facts)?,
            );
            if avu.attribute.is_empty() {
                return Err("an AVU without an attribute comes out".to_owned());
            }
            if !avu.value.is_empty() {
                choice.avus.push(ChosenAvu {
                    avu,
                    replaces: !rule.add,
                });
            }
        }
        choice.grants.extend(self.rule.acl.iter().map(|acl| Grant {
            user: acl.who.clone(),
            zone: acl.zone.clone(),
            level: acl.level.clone(),
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
