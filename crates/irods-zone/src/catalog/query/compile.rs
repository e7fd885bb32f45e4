//! From a query to one parameterised SELECT.
//!
//! Invariant: the SQL text is put together from this crate's own strings only; all that comes from
//! the client is bound. So no query can become anything but the SELECT that is written here.

use irods_protocol::columns::{MAX_SELECTED, option, select};
use rusqlite::types::Value;

use super::super::Identity;
use super::super::error::{CatalogError, Result, code};
use super::GenQuery;
use super::attributes::{self, Attribute, GUARDED, Kind, META_GROUPS, MetaGroup, Place};
use super::condition::{self, Condition};
use super::filter::Filter;
use super::genquery2::{Expression, Query};
use super::joins::{join, one_row_each};

/// Most conditions of one query; keeps the expression within the database's depth.
const MAX_CONDITIONS: usize = 200;
/// Most bound values of one query.
const MAX_VALUES: usize = 30_000;

/// How a result column becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Output {
    /// As it is.
    Plain,
    /// `sum/count`, to be divided.
    Average,
}

/// A compiled query.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Compiled {
    /// The SELECT, without LIMIT.
    pub sql: String,
    /// What is bound to `?1` and on.
    pub values: Vec<Value>,
    /// Column number and form of each result column.
    pub columns: Vec<(i32, Output)>,
    /// LIMIT and OFFSET can be put behind the statement; else rows are skipped one by one.
    pub pages_in_sql: bool,
}

/// Compiles a query for a user.
pub(super) fn compile(who: &Identity, query: &GenQuery) -> Result<Compiled> {
    if query.conditions.len() > MAX_CONDITIONS {
        return Err(invalid("too many conditions"));
    }
    let mut parts = Parts::selecting(&query.selects)?;
    parts.distinct = query.options & option::NO_DISTINCT == 0;
    parts.filter.upper = query.options & option::UPPER_CASE_WHERE != 0;
    for group in grouped(query)? {
        match group {
            Group::Row(attribute, condition) => {
                need(&mut parts.tables, attribute.table);
                if !parts.filter.upper && condition.fixes_value() {
                    parts.known.push((attribute.table, attribute.column));
                }
                parts.terms.push(parts.filter.condition(
                    &attribute.place(),
                    attribute.kind,
                    &condition,
                )?);
            }
            Group::Further(meta, conditions) => {
                need(&mut parts.tables, meta.object);
                let term = parts.filter.further_avu(meta, &conditions)?;
                parts.terms.push(term);
            }
        }
    }
    parts.finish(who)
}

/// Compiles a query of the other language for a user.
pub(super) fn compile_text(who: &Identity, query: &Query) -> Result<Compiled> {
    let mut parts = Parts::selecting(&query.selects)?;
    parts.distinct = query.distinct;
    if let Some(wanted) = &query.wanted {
        let term = parts.expression(wanted);
        parts.terms.push(term);
    }
    for (column, descending) in &query.order {
        need(&mut parts.tables, column.table);
        let direction = if *descending { " DESC" } else { "" };
        let term = format!("{}{direction}", column.place());
        parts.selection.order_by.push(term);
    }
    parts.finish(who)
}

/// A statement in the making.
struct Parts {
    selection: Selection,
    tables: Vec<&'static str>,
    filter: Filter,
    /// Conditions that must all hold.
    terms: Vec<String>,
    /// Columns that a row's values fix.
    known: Vec<Place>,
    distinct: bool,
}

impl Parts {
    fn selecting(selects: &[(i32, i32)]) -> Result<Self> {
        if selects.is_empty() || selects.len() > MAX_SELECTED {
            return Err(invalid("a query selects 1 to 50 columns"));
        }
        let mut tables = Vec::new();
        let selection = Selection::of(selects, &mut tables)?;
        Ok(Self {
            known: selection.known.clone(),
            selection,
            tables,
            filter: Filter::default(),
            terms: Vec::new(),
            distinct: true,
        })
    }

    fn expression(&mut self, expression: &Expression) -> String {
        let mut each = |parts: &[Expression], word: &str| {
            let terms: Vec<String> = parts.iter().map(|part| self.expression(part)).collect();
            match terms.as_slice() {
                [only] => only.clone(),
                _ => format!("({})", terms.join(word)),
            }
        };
        match expression {
            Expression::All(parts) => each(parts, " AND "),
            Expression::Any(parts) => each(parts, " OR "),
            Expression::Not(inner) => format!("NOT ({})", self.expression(inner)),
            Expression::Term(column, piece) => {
                need(&mut self.tables, column.table);
                self.filter.piece(&column.place(), piece)
            }
        }
    }

    fn finish(mut self, who: &Identity) -> Result<Compiled> {
        if !who.sees_all() {
            // AVUs by themselves belong to nobody; through the map they are as visible as their objects.
            for group in META_GROUPS {
                if self.tables.contains(&group.meta)
                    && GUARDED.iter().any(|(alias, ..)| *alias == group.map)
                {
                    need(&mut self.tables, group.map);
                }
            }
        }
        let from = join(&self.tables)?;
        if !who.sees_all() {
            let visible = self.filter.visibility(who, &from);
            self.terms.extend(visible);
        }
        if self.filter.values.len() > MAX_VALUES {
            return Err(invalid("too many values"));
        }
        let selection = self.selection;
        // DISTINCT costs a copy of all rows, so it is left out where no row can appear twice.
        let plain = !self.distinct || selection.aggregated || one_row_each(&from, &self.known);
        let distinct = if plain { "" } else { "DISTINCT " };
        let mut sql = format!(
            "SELECT {distinct}{} FROM ",
            selection.expressions.join(", ")
        );
        for (index, joined) in from.iter().enumerate() {
            if index > 0 {
                sql.push_str(" JOIN ");
            }
            sql.push_str(&format!("{} AS {}", joined.name, joined.alias));
            if let Some(on) = joined.on {
                sql.push_str(" ON ");
                sql.push_str(&on.on());
            }
        }
        if !self.terms.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.terms.join(" AND "));
        }
        if !selection.group_by.is_empty() {
            sql.push_str(" GROUP BY ");
            sql.push_str(&selection.group_by.join(", "));
        }
        if !selection.order_by.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&selection.order_by.join(", "));
        }
        Ok(Compiled {
            sql,
            values: self.filter.values,
            columns: selection.columns,
            pages_in_sql: true,
        })
    }
}

fn invalid(what: &str) -> CatalogError {
    CatalogError::new(code::CAT_INVALID_ARGUMENT, what)
}

fn attribute(number: i32) -> Result<&'static Attribute> {
    attributes::attribute(number).ok_or_else(|| {
        CatalogError::new(code::CAT_UNKNOWN_TABLE, format!("no such column: {number}"))
    })
}

fn need(tables: &mut Vec<&'static str>, alias: &'static str) {
    if !tables.contains(&alias) {
        tables.push(alias);
    }
}

/// The parts of the statement that the select list decides.
struct Selection {
    expressions: Vec<String>,
    columns: Vec<(i32, Output)>,
    group_by: Vec<String>,
    order_by: Vec<String>,
    /// The plain columns.
    known: Vec<Place>,
    aggregated: bool,
}

impl Selection {
    fn of(selects: &[(i32, i32)], tables: &mut Vec<&'static str>) -> Result<Self> {
        let mut this = Self {
            expressions: Vec::new(),
            columns: Vec::new(),
            group_by: Vec::new(),
            order_by: Vec::new(),
            known: Vec::new(),
            aggregated: false,
        };
        for (position, (number, flags)) in (1..).zip(selects) {
            let attribute = attribute(*number)?;
            need(tables, attribute.table);
            let column = attribute.place();
            let number_of = match attribute.kind {
                Kind::Integer => column.clone(),
                Kind::Text => format!("CAST({column} AS INTEGER)"),
            };
            let mut output = Output::Plain;
            let aggregate = match flags & select::AGGREGATE_MASK {
                select::MIN => Some(format!("min({column})")),
                select::MAX => Some(format!("max({column})")),
                select::SUM => Some(format!("sum({number_of})")),
                select::AVG => {
                    output = Output::Average;
                    Some(format!("sum({number_of}) || '/' || count({number_of})"))
                }
                select::COUNT => Some(format!("count({column})")),
                _ => None,
            };
            this.aggregated |= aggregate.is_some();
            let expression = aggregate.unwrap_or_else(|| {
                this.group_by.push(position.to_string());
                this.known.push((attribute.table, attribute.column));
                column
            });
            if flags & select::ORDER_DESC != 0 {
                this.order_by.push(format!("{position} DESC"));
            } else if flags & select::ORDER_ASC != 0 {
                this.order_by.push(position.to_string());
            }
            this.expressions.push(expression);
            this.columns.push((*number, output));
        }
        if !this.aggregated {
            this.group_by.clear();
        }
        Ok(this)
    }
}

/// Conditions by what they are about.
enum Group {
    /// The row itself.
    Row(&'static Attribute, Condition),
    /// A further AVU that the same object must have: columns of r_meta_main with their conditions.
    Further(&'static MetaGroup, Vec<(&'static str, Condition)>),
}

/// The second condition on one and the same AVU column is about a second AVU of the object, the
/// third about a third (how `imeta qu` asks for several; server source 4.3).
fn grouped(query: &GenQuery) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    let mut seen: Vec<i32> = Vec::new();
    for (number, text) in &query.conditions {
        let attribute = attribute(*number)?;
        let condition = condition::parse(text)?;
        let meta = META_GROUPS
            .iter()
            .find(|group| (group.first..group.first + 3).contains(number));
        let earlier = seen.iter().filter(|other| *other == number).count();
        seen.push(*number);
        let Some(meta) = meta.filter(|_| earlier > 0) else {
            groups.push(Group::Row(attribute, condition));
            continue;
        };
        let nth = groups
            .iter_mut()
            .filter_map(|group| match group {
                Group::Further(of, conditions) if of.first == meta.first => Some(conditions),
                _ => None,
            })
            .nth(earlier - 1);
        match nth {
            Some(conditions) => conditions.push((attribute.column, condition)),
            None => groups.push(Group::Further(meta, vec![(attribute.column, condition)])),
        }
    }
    Ok(groups)
}
