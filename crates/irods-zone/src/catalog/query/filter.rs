//! The WHERE clause: its terms, and the values that they bind.

use rusqlite::types::Value;

use super::super::Identity;
use super::super::access::Level;
use super::super::error::Result;
use super::attributes::{GUARDED, Kind, MetaGroup};
use super::condition::{Comparison, Condition, Piece};
use super::joins::Joined;

/// Builds terms of the WHERE clause and collects what they bind.
#[derive(Default)]
pub(super) struct Filter {
    /// What the placeholders stand for.
    pub values: Vec<Value>,
    /// Compare with the upper-cased column.
    pub upper: bool,
}

impl Filter {
    /// Binds a value and gives its placeholder.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    pub fn condition(&mut self, column: &str, kind: Kind, condition: &Condition) -> Result<String> {
        let column = match kind {
            Kind::Text if self.upper => format!("upper({column})"),
            _ => column.to_owned(),
        };
        if let Some(literals) = condition.only_equalities() {
            return Ok(self.one_of(&column, literals));
        }
        let alternatives: Vec<String> = condition
            .alternatives
            .iter()
            .map(|pieces| {
                let terms: Vec<String> = pieces
                    .iter()
                    .map(|piece| self.piece(&column, piece))
                    .collect();
                terms.join(" AND ")
            })
            .collect();
        Ok(format!("({})", alternatives.join(" OR ")))
    }

    fn one_of<'a>(&mut self, column: &str, literals: impl IntoIterator<Item = &'a str>) -> String {
        let bound: Vec<String> = literals
            .into_iter()
            .map(|literal| self.bind(literal.to_owned()))
            .collect();
        match bound.as_slice() {
            [single] => format!("{column} = {single}"),
            _ => format!("{column} IN ({})", bound.join(", ")),
        }
    }

    /// One comparison.
    pub fn piece(&mut self, column: &str, piece: &Piece) -> String {
        match piece {
            Piece::Compare {
                with,
                literal,
                numeric,
            } => {
                let sign = with.sign();
                let bound = self.bind(literal.clone());
                if *numeric {
                    format!("CAST({column} AS NUMERIC) {sign} CAST({bound} AS NUMERIC)")
                } else {
                    format!("{column} {sign} {bound}")
                }
            }
            Piece::Like { pattern, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let bound = self.bind(pattern.clone());
                format!("{column} {not}LIKE {bound} ESCAPE '\\'")
            }
            Piece::In(literals) => self.one_of(column, literals.iter().map(String::as_str)),
            Piece::Between(low, high) => {
                let (low, high) = (self.bind(low.clone()), self.bind(high.clone()));
                format!("{column} BETWEEN {low} AND {high}")
            }
            Piece::ParentOf(path) => {
                let ends = path.match_indices('/').map(|(at, _)| at.max(1));
                let above = ends
                    .filter_map(|end| path.get(..end))
                    .filter(|p| *p != path);
                self.one_of(column, above.chain([path.as_str()]))
            }
            Piece::BeginOf(text) => {
                let bound = self.bind(text.clone());
                format!("({column} <> '' AND {column} = substr({bound}, 1, length({column})))")
            }
            Piece::Null { negated: false } => format!("{column} IS NULL"),
            Piece::Null { negated: true } => format!("{column} IS NOT NULL"),
        }
    }

    /// The object has an AVU that meets all these conditions.
    pub fn further_avu(
        &mut self,
        group: &MetaGroup,
        conditions: &[(&'static str, Condition)],
    ) -> Result<String> {
        let mut terms = Vec::new();
        for (column, condition) in conditions {
            terms.push(self.condition(&format!("further.{column}"), Kind::Text, condition)?);
        }
        Ok(format!(
            "EXISTS (SELECT 1 FROM r_objt_metamap AS further_map
             JOIN r_meta_main AS further ON further.meta_id = further_map.meta_id
             WHERE further_map.object_id = {}.{} AND {})",
            group.object,
            group.id,
            terms.join(" AND ")
        ))
    }

    /// What hides rows from ordinary users: objects that neither they nor their groups may read, and
    /// other users' tickets.
    pub fn visibility(&mut self, who: &Identity, from: &[Joined]) -> Vec<String> {
        let has = |alias: &str| from.iter().any(|joined| joined.alias == alias);
        let mut terms = Vec::new();
        for (alias, id, instead) in GUARDED {
            if !has(alias) || instead.is_some_and(has) {
                continue;
            }
            let user = self.bind(who.user_id);
            let level = self.bind(Level::READ_OBJECT.id());
            let mut term = format!(
                "EXISTS (SELECT 1 FROM r_objt_access AS may
                 JOIN r_user_group AS mine ON mine.group_user_id = may.user_id
                 WHERE may.object_id = {alias}.{id} AND mine.user_id = {user}
                 AND may.access_type_id >= {level})"
            );
            if let Some(ticket) = &who.ticket {
                let string = self.bind(ticket.string.to_string());
                term = format!(
                    "({term} OR {}",
                    by_ticket(&string, &format!("{alias}.{id}"))
                );
                // A collection shows with the object that a ticket is for.
                if *alias == "coll" && has("data") {
                    term = format!("{term} OR {}", by_ticket(&string, "data.data_id"));
                }
                term.push(')');
            }
            terms.push(term);
        }
        if has("ticket") {
            let user = self.bind(who.user_id);
            terms.push(format!("ticket.user_id = {user}"));
        }
        terms
    }
}

/// An object is the one that a ticket is for, or below the collection that it is for.
fn by_ticket(string: &str, object: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM r_ticket_main AS t WHERE t.ticket_string = {string} AND (t.object_id = {object}
         OR (t.object_type = 'collection' AND EXISTS (SELECT 1 FROM r_coll_main AS root, r_coll_main AS place
             WHERE root.coll_id = t.object_id
             AND (place.coll_id = {object}
                  OR place.coll_id = (SELECT d.coll_id FROM r_data_main AS d WHERE d.data_id = {object} LIMIT 1))
             AND (place.coll_name = root.coll_name
                  OR substr(place.coll_name, 1, length(root.coll_name) + 1) = root.coll_name || '/')))))"
    )
}

impl Condition {
    /// True if the column can have only one value.
    pub(super) fn fixes_value(&self) -> bool {
        self.only_equalities()
            .is_some_and(|literals| literals.len() == 1)
    }

    /// The literals, if the condition is nothing but alternatives of equality: those become one IN,
    /// which can be long where a chain of OR cannot.
    fn only_equalities(&self) -> Option<Vec<&str>> {
        self.alternatives
            .iter()
            .map(|pieces| match pieces.as_slice() {
                [
                    Piece::Compare {
                        with: Comparison::Equal,
                        literal,
                        numeric: false,
                    },
                ] => Some(literal.as_str()),
                _ => None,
            })
            .collect()
    }
}

impl Comparison {
    const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}
