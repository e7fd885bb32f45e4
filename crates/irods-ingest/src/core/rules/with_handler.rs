//! A job's rules and its handler, where both choose. Each setting is that of the one that says something of it. Where both say something
//! and not the same, neither counts: what would hold for all entries keeps the job from being started, what holds for one fails it.

use std::fmt::Debug;

use super::{RuleError, Rules};
use crate::core::choice::Choice;
use crate::core::python::{Handler, Settings};

impl Rules {
    /// Checks what the handler always says against what rules say.
    ///
    /// # Errors
    /// The first that differs.
    pub fn check_with_handler(
        &self,
        handler: &Handler,
        settings: &Settings,
    ) -> Result<(), RuleError> {
        let always = |name| !handler.chooses.contains(name);
        let differs = |what: &str, rule: &str, handlers: &str| {
            format!(
                "{what} is {rule} here, and {handlers} of event handler {}",
                handler.path
            )
        };
        for rule in &self.rules {
            if let (Some(ours), Some(theirs)) = (rule.operation, settings.operation)
                && always("operation")
                && ours != theirs
            {
                let message = differs("operation", ours.name(), theirs.name());
                return Err(self.error(rule.lines.operation, message));
            }
            if let (Some(ours), Some(theirs)) = (&rule.resource, &settings.to_resource)
                && ours != theirs
            {
                let message = differs("resource", ours, theirs);
                return Err(self.error(rule.lines.resource, message));
            }
        }
        if self.user.is_some() && handler.chooses_users() {
            let message = format!(
                "as_user is given, and event handler {} has a method of that name",
                handler.path
            );
            return Err(self.error(0, message));
        }
        Ok(())
    }
}

/// What both together choose.
pub(super) fn both(rules: Choice, handler: Choice) -> Choice {
    // Asked of all, but where the handler names none it leaves it to whom else there is.
    let handlers_resource = handler.resource.filter(Option::is_some);
    let mut conflict = None;
    let by = [rules.chosen_by, handler.chosen_by];
    let by: Vec<String> = by.into_iter().flatten().collect();
    let skip = rules.skip.or(handler.skip);
    let choice = Choice {
        operation: either(
            "operation",
            rules.operation,
            handler.operation,
            &mut conflict,
        ),
        delete_mode: handler.delete_mode,
        resource: either("resource", rules.resource, handlers_resource, &mut conflict),
        target: either("target", rules.target, handler.target, &mut conflict),
        physical_path: handler.physical_path,
        user: either("user", rules.user, handler.user, &mut conflict),
        max_retries: handler.max_retries,
        delay: handler.delay,
        timeout: handler.timeout,
        avus: rules.avus.into_iter().chain(handler.avus).collect(),
        grants: rules.grants.into_iter().chain(handler.grants).collect(),
        chosen_by: (!by.is_empty()).then(|| by.join(", ")),
        wrong: rules.wrong.or(handler.wrong),
        skip: None,
    };
    Choice {
        // Of what is left out it does not matter.
        wrong: choice.wrong.or(conflict.filter(|_| skip.is_none())),
        skip,
        ..choice
    }
}

fn either<T: PartialEq + Debug>(
    what: &str,
    rules: Option<T>,
    handlers: Option<T>,
    conflict: &mut Option<String>,
) -> Option<T> {
    match (rules, handlers) {
        (Some(ours), Some(theirs)) if ours != theirs => {
            *conflict = Some(format!(
                "{what}: the rules say {ours:?}, the handler {theirs:?}"
            ));
            None
        }
        (ours, theirs) => ours.or(theirs),
    }
}
