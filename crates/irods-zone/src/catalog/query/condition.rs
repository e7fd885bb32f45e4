//! The little language of conditions: text in, a tree with its literals out. Knows no SQL.
//!
//! A literal has no escape for a quote: it ends at the first quote behind which the text can go on as
//! a condition, so `= 'it's'` is what it looks like. (Real servers take the last quote of a piece,
//! which is the same wherever theirs works; server source 4.3.)

use super::super::error::{CatalogError, Result, code};

/// Most comparisons in one condition text.
const MAX_PIECES: usize = 400;
/// Most literals in one condition text.
const MAX_LITERALS: usize = 20_000;
/// Longest pattern that the database matches.
const MAX_PATTERN: usize = 20_000;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One comparison of the condition's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// With a literal, as numbers if `numeric`.
    Compare {
        with: Comparison,
        literal: String,
        numeric: bool,
    },
    /// `%` and `_` are wildcards, `\` escapes them.
    Like { pattern: String, negated: bool },
    /// One of several literals.
    In(Vec<String>),
    /// Between two literals, both included.
    Between(String, String),
    /// A collection above the literal, or itself.
    ParentOf(String),
    /// The literal begins with the column's value.
    BeginOf(String),
    /// Whether there is a value.
    Null { negated: bool },
}

/// A condition: alternatives, each of pieces that must all hold (`&&` binds closer than `||`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub alternatives: Vec<Vec<Piece>>,
}

/// Parses a condition text.
///
/// # Errors
/// `CAT_INVALID_ARGUMENT`, with the place where it went wrong.
pub(super) fn parse(text: &str) -> Result<Condition> {
    let mut parser = Parser { text, literals: 0 };
    let mut alternatives = vec![Vec::new()];
    for _ in 0..MAX_PIECES {
        let piece = parser.piece()?;
        if let Some(last) = alternatives.last_mut() {
            last.push(piece);
        }
        match parser.separator() {
            Some(Separator::And) => {}
            Some(Separator::Or) => alternatives.push(Vec::new()),
            None if parser.text.is_empty() => return Ok(Condition { alternatives }),
            None => return Err(parser.bad("the end, || or && expected")),
        }
    }
    Err(parser.bad("too many comparisons"))
}

enum Separator {
    And,
    Or,
}

/// Operator words. Longer ones come before their own beginnings.
const OPERATORS: &[(&str, Operator)] = &[
    ("not like", Operator::Like { negated: true }),
    ("like", Operator::Like { negated: false }),
    ("between", Operator::Between),
    ("in", Operator::In),
    ("parent_of", Operator::ParentOf),
    ("begin_of", Operator::BeginOf),
    ("is not null", Operator::Null { negated: true }),
    ("is null", Operator::Null { negated: false }),
    ("n<>", Operator::Compare(Comparison::NotEqual, true)),
    ("n!=", Operator::Compare(Comparison::NotEqual, true)),
    ("n<=", Operator::Compare(Comparison::LessOrEqual, true)),
    ("n>=", Operator::Compare(Comparison::GreaterOrEqual, true)),
    ("n=", Operator::Compare(Comparison::Equal, true)),
    ("n<", Operator::Compare(Comparison::Less, true)),
    ("n>", Operator::Compare(Comparison::Greater, true)),
    ("<>", Operator::Compare(Comparison::NotEqual, false)),
    ("!=", Operator::Compare(Comparison::NotEqual, false)),
    ("<=", Operator::Compare(Comparison::LessOrEqual, false)),
    (">=", Operator::Compare(Comparison::GreaterOrEqual, false)),
    ("=", Operator::Compare(Comparison::Equal, false)),
    ("<", Operator::Compare(Comparison::Less, false)),
    (">", Operator::Compare(Comparison::Greater, false)),
];

#[derive(Debug, Clone, Copy)]
enum Operator {
    Compare(Comparison, bool),
    Like { negated: bool },
    In,
    Between,
    ParentOf,
    BeginOf,
    Null { negated: bool },
}

/// The operator at the start of a text, and what follows it. Case and number of blanks are free.
fn operator(text: &str) -> Option<(Operator, &str)> {
    let text = text.trim_start();
    OPERATORS.iter().find_map(|(words, operator)| {
        let mut rest = text;
        for (index, word) in words.split(' ').enumerate() {
            if index > 0 {
                let trimmed = rest.trim_start();
                if trimmed.len() == rest.len() {
                    return None;
                }
                rest = trimmed;
            }
            let head = rest.get(..word.len())?;
            if !head.eq_ignore_ascii_case(word) {
                return None;
            }
            rest = rest.get(word.len()..)?;
        }
        Some((*operator, rest))
    })
}

/// The separator at the start of a text that is followed by an operator.
fn separator(text: &str) -> Option<(Separator, &str)> {
    let text = text.trim_start();
    let (separator, rest) = if let Some(rest) = text.strip_prefix("||") {
        (Separator::Or, rest)
    } else {
        (Separator::And, text.strip_prefix("&&")?)
    };
    operator(rest)?;
    Some((separator, rest))
}

/// True if a condition can end here.
fn may_end(text: &str) -> bool {
    text.trim_start().is_empty() || separator(text).is_some()
}

struct Parser<'a> {
    /// What is left.
    text: &'a str,
    literals: usize,
}

impl<'a> Parser<'a> {
    fn bad(&self, what: &str) -> CatalogError {
        let near: String = self.text.chars().take(40).collect();
        CatalogError::new(
            code::CAT_INVALID_ARGUMENT,
            format!("bad condition: {what} at {near:?}"),
        )
    }

    fn separator(&mut self) -> Option<Separator> {
        let (found, rest) = separator(self.text).or_else(|| {
            // Nothing but blanks may follow the last piece.
            self.text = self.text.trim_start();
            None
        })?;
        self.text = rest;
        Some(found)
    }

    fn piece(&mut self) -> Result<Piece> {
        let Some((operator, rest)) = operator(self.text) else {
            return Err(self.bad("an operator expected"));
        };
        self.text = rest;
        Ok(match operator {
            Operator::Compare(with, numeric) => Piece::Compare {
                with,
                literal: self.literal(may_end)?,
                numeric,
            },
            Operator::Like { negated } => {
                let pattern = self.literal(may_end)?;
                if pattern.len() > MAX_PATTERN {
                    return Err(self.bad("too long a pattern"));
                }
                Piece::Like { pattern, negated }
            }
            Operator::In => self.list()?,
            Operator::Between => {
                let low = self.literal(|rest| and_literal(rest).is_some())?;
                self.text = and_literal(self.text).unwrap_or(self.text);
                Piece::Between(low, self.literal(may_end)?)
            }
            Operator::ParentOf => {
                let path = self.literal(may_end)?;
                if path.len() > irods_protocol::path::MAX_PATH {
                    return Err(self.bad("too long a path"));
                }
                Piece::ParentOf(path)
            }
            Operator::BeginOf => Piece::BeginOf(self.literal(may_end)?),
            Operator::Null { negated } => Piece::Null { negated },
        })
    }

    fn list(&mut self) -> Result<Piece> {
        let Some(rest) = self.text.trim_start().strip_prefix('(') else {
            return Err(self.bad("( expected"));
        };
        self.text = rest;
        let mut literals = Vec::new();
        loop {
            literals.push(self.literal(|rest| {
                let rest = rest.trim_start();
                rest.strip_prefix(',')
                    .is_some_and(|rest| rest.trim_start().starts_with('\''))
                    || rest.strip_prefix(')').is_some_and(may_end)
            })?);
            let rest = self.text.trim_start();
            if let Some(rest) = rest.strip_prefix(',') {
                self.text = rest;
            } else if let Some(rest) = rest.strip_prefix(')') {
                self.text = rest;
                return Ok(Piece::In(literals));
            } else {
                return Err(self.bad(", or ) expected"));
            }
        }
    }

    /// A quoted literal, up to the first quote behind which `ends` holds.
    fn literal(&mut self, ends: impl Fn(&str) -> bool) -> Result<String> {
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(self.bad("too many literals"));
        }
        let Some(body) = self.text.trim_start().strip_prefix('\'') else {
            return Err(self.bad("a quoted literal expected"));
        };
        for (at, _) in body.match_indices('\'') {
            let (literal, rest) = body.split_at(at);
            let rest = rest.get(1..).unwrap_or_default();
            if ends(rest) {
                self.text = rest;
                return Ok(literal.to_owned());
            }
        }
        Err(self.bad("a closing quote expected"))
    }
}

/// What follows the first literal of a range, without the optional `and`, if a literal follows.
fn and_literal(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let text = match text.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("and") => text.get(3..)?.trim_start(),
        _ => text,
    };
    text.starts_with('\'').then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> Piece {
        let condition = parse(text).unwrap();
        assert_eq!(condition.alternatives.len(), 1, "{text}");
        assert_eq!(condition.alternatives[0].len(), 1, "{text}");
        condition.alternatives[0][0].clone()
    }

    fn compare(with: Comparison, literal: &str) -> Piece {
        Piece::Compare {
            with,
            literal: literal.to_owned(),
            numeric: false,
        }
    }

    #[test]
    fn reads_each_operator() {
        use Comparison::*;
        assert_eq!(one("= 'a'"), compare(Equal, "a"));
        assert_eq!(one("='a'"), compare(Equal, "a"));
        assert_eq!(one("  = 'a'  "), compare(Equal, "a"));
        assert_eq!(one("!='a'"), compare(NotEqual, "a"));
        assert_eq!(one("<> 'a'"), compare(NotEqual, "a"));
        assert_eq!(one("<= '1'"), compare(LessOrEqual, "1"));
        assert_eq!(one("> '1'"), compare(Greater, "1"));
        assert_eq!(
            one("n>= '1'"),
            Piece::Compare {
                with: GreaterOrEqual,
                literal: "1".into(),
                numeric: true
            }
        );
        assert_eq!(
            one("LIKE 'a%'"),
            Piece::Like {
                pattern: "a%".into(),
                negated: false
            }
        );
        assert_eq!(
            one("Not  Like 'a'"),
            Piece::Like {
                pattern: "a".into(),
                negated: true
            }
        );
        assert_eq!(
            one("in ('a', 'b','c')"),
            Piece::In(vec!["a".into(), "b".into(), "c".into()])
        );
        assert_eq!(
            one("between '3' '5'"),
            Piece::Between("3".into(), "5".into())
        );
        assert_eq!(
            one("between '3' and '5'"),
            Piece::Between("3".into(), "5".into())
        );
        assert_eq!(one("parent_of '/a/b'"), Piece::ParentOf("/a/b".into()));
        assert_eq!(one("begin_of '/a'"), Piece::BeginOf("/a".into()));
        assert_eq!(one("is null"), Piece::Null { negated: false });
        assert_eq!(one("IS NOT NULL"), Piece::Null { negated: true });
    }

    #[test]
    fn quotes_inside_literals_are_kept() {
        assert_eq!(one("= 'it's'"), compare(Comparison::Equal, "it's"));
        assert_eq!(one("= '''"), compare(Comparison::Equal, "'"));
        assert_eq!(one("= ''"), compare(Comparison::Equal, ""));
        assert_eq!(one("= 'a || b'"), compare(Comparison::Equal, "a || b"));
        assert_eq!(one("= 'a' || b'"), compare(Comparison::Equal, "a' || b"));
        assert_eq!(
            one("in ('it's','b')"),
            Piece::In(vec!["it's".into(), "b".into()])
        );
        assert_eq!(
            one("between 'it's' 'z'"),
            Piece::Between("it's".into(), "z".into())
        );
    }

    #[test]
    fn and_binds_closer_than_or() {
        let condition = parse("> '1' && < '9' || = '0'").unwrap();
        let lengths: Vec<_> = condition.alternatives.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(parse("= 'a'||= 'b'").unwrap().alternatives.len(), 2);
    }

    #[test]
    fn nonsense_is_an_invalid_argument() {
        for text in [
            "",
            " ",
            "a",
            "=",
            "= a",
            "= 'a",
            "= 5",
            "in",
            "in ()",
            "in ('a'",
            "in 'a'",
            "between 'a'",
            "like",
            "= 'a' ||",
            "notlike 'a'",
            "isnull",
            "= 'a' 'b",
            "; DROP TABLE x",
        ] {
            match parse(text) {
                Err(error) => assert_eq!(error.code, code::CAT_INVALID_ARGUMENT, "{text}"),
                Ok(condition) => panic!("{text:?} parsed as {condition:?}"),
            }
        }
        let long = vec!["= 'a'"; MAX_PIECES + 1].join(" || ");
        assert!(parse(&long).is_err());
    }
}
