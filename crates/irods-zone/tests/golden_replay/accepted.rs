//! The differences that stay, each with its reason: one line each in `golden_differences.txt`.

use crate::compare::Difference;

const LIST: &str = include_str!("../golden_differences.txt");

pub struct Accepted {
    line: usize,
    scenario: String,
    call: String,
    field: String,
    recorded: String,
    ours: String,
    pub used: usize,
}

/// The list. Columns, separated by `|`: scenario (perhaps with `:` and the number of the
/// message), call, field, recorded value, our value, reason; `*` stands for any text.
pub fn list() -> Vec<Accepted> {
    let lines = LIST.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let cells: Vec<String> = line.splitn(6, " | ").map(|c| c.trim().to_owned()).collect();
            let Ok([scenario, call, field, recorded, ours, reason]) =
                <[String; 6]>::try_from(cells)
            else {
                panic!("line {}: not six columns", at + 1)
            };
            assert!(!reason.is_empty(), "line {}: no reason", at + 1);
            Accepted {
                line: at + 1,
                scenario,
                call,
                field,
                recorded,
                ours,
                used: 0,
            }
        })
        .collect()
}

impl Accepted {
    pub fn covers(&self, scenario: &str, seq: u64, call: &str, difference: &Difference) -> bool {
        (like(&self.scenario, scenario) || like(&self.scenario, &format!("{scenario}:{seq}")))
            && like(&self.call, call)
            && like(&self.field, &difference.field)
            && like(&self.recorded, &difference.recorded)
            && like(&self.ours, &difference.ours)
    }

    pub fn place(&self) -> String {
        let Self {
            line,
            scenario,
            call,
            field,
            ..
        } = self;
        format!("line {line}: {scenario} {call} {field}")
    }
}

/// Whether a text is what a pattern says; `*` is any text, also none.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            rest.is_empty()
                || (0..=text.len())
                    .filter(|&at| text.is_char_boundary(at))
                    .any(|at| like(rest, &text[at..]))
        }),
    }
}
