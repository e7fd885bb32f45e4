//! From a query to one parameterised SELECT.
//!
//! Invariant: the SQL text is put together from this crate's own strings only; all that comes from
//! the client is bound. So no query can become anything but the SELECT that is written here.

use irods_protocol::columns::{MAX_SELECTED, option, select};
use rusqlite::types::Value;

use super::super::Identity;
use super::super::access::Level;
use super::super::error::{CatalogError, Result, code};
use super::GenQuery;
use super::attributes::{self, Attribute, GUARDED, Kind, LINKS, META_GROUPS, MetaGroup, table_of};
use super::condition::{self, Comparison, Condition, Piece};

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
    if query.selects.is_empty() || query.selects.len() > MAX_SELECTED {
        return Err(invalid("a query selects 1 to 50 columns"));
    }
    if query.conditions.len() > MAX_CONDITIONS {
        return Err(invalid("too many conditions"));
    }
    let mut tables = Vec::new();
    let selection = Selection::of(query, &mut tables)?;
    let mut filter = Filter {
        upper: query.options & option::UPPER_CASE_WHERE != 0,
        ..Filter::default()
    };
    let mut terms = Vec::new();
    for group in grouped(query)? {
        match group {
            Group::Row(attribute, condition) => {
                need(&mut tables, attribute.table);
                terms.push(filter.condition(
                    &format!("{}.{}", attribute.table, attribute.column),
                    attribute.kind,
                    &condition,
                )?);
            }
            Group::Further(meta, conditions) => {
                need(&mut tables, meta.object);
                terms.push(filter.further_avu(meta, &conditions)?);
            }
        }
    }
    if !who.is_rodsadmin() {
        // AVUs by themselves belong to nobody; through the map they are as visible as their objects.
        for group in META_GROUPS {
            if tables.contains(&group.meta) && GUARDED.iter().any(|(alias, ..)| *alias == group.map)
            {
                need(&mut tables, group.map);
            }
        }
    }
    let from = join(&tables)?;
    if !who.is_rodsadmin() {
        terms.extend(filter.visibility(who, &from));
    }
    if filter.values.len() > MAX_VALUES {
        return Err(invalid("too many values"));
    }
    let distinct = if query.options & option::NO_DISTINCT == 0 {
        "DISTINCT "
    } else {
        ""
    };
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
            sql.push_str(on);
        }
    }
    if !terms.is_empty() {
        sql.push_str(" WHERE ");
        sql.push_str(&terms.join(" AND "));
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
        values: filter.values,
        columns: selection.columns,
        pages_in_sql: true,
    })
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
}

impl Selection {
    fn of(query: &GenQuery, tables: &mut Vec<&'static str>) -> Result<Self> {
        let mut this = Self {
            expressions: Vec::new(),
            columns: Vec::new(),
            group_by: Vec::new(),
            order_by: Vec::new(),
        };
        let mut aggregated = false;
        for (position, (number, flags)) in (1..).zip(&query.selects) {
            let attribute = attribute(*number)?;
            need(tables, attribute.table);
            let column = format!("{}.{}", attribute.table, attribute.column);
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
            aggregated |= aggregate.is_some();
            let expression = aggregate.unwrap_or_else(|| {
                this.group_by.push(position.to_string());
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
        if !aggregated {
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

/// A table of the FROM clause.
struct Joined {
    alias: &'static str,
    name: &'static str,
    on: Option<&'static str>,
}

/// Finds the shortest joins that connect all tables.
fn join(wanted: &[&'static str]) -> Result<Vec<Joined>> {
    let mut from: Vec<Joined> = Vec::new();
    for alias in wanted {
        if from.iter().any(|joined| joined.alias == *alias) {
            continue;
        }
        if from.is_empty() {
            from.push(joined(alias, None)?);
            continue;
        }
        let path = path_to(&from, alias).ok_or_else(|| {
            CatalogError::new(
                code::CAT_FAILED_TO_LINK_TABLES,
                "the columns have nothing in common",
            )
        })?;
        for (alias, on) in path {
            from.push(joined(alias, Some(on))?);
        }
    }
    Ok(from)
}

fn joined(alias: &'static str, on: Option<&'static str>) -> Result<Joined> {
    let table = table_of(alias)
        .ok_or_else(|| CatalogError::new(code::CAT_UNKNOWN_TABLE, format!("no table {alias}")))?;
    Ok(Joined {
        alias: table.alias,
        name: table.name,
        on,
    })
}

/// Breadth first from all tables that are in already.
fn path_to(from: &[Joined], target: &'static str) -> Option<Vec<(&'static str, &'static str)>> {
    // Reached tables, each with the index of where it was reached from and the joining condition.
    let mut reached: Vec<(&'static str, Option<(usize, &'static str)>)> =
        from.iter().map(|joined| (joined.alias, None)).collect();
    let mut next = 0;
    while let Some(&(here, origin)) = reached.get(next) {
        let passable = origin.is_none() || table_of(here).is_some_and(|table| !table.ends);
        if passable {
            for link in LINKS {
                let there = match (link.a == here, link.b == here) {
                    (true, _) => link.b,
                    (_, true) => link.a,
                    _ => continue,
                };
                if reached.iter().any(|(alias, _)| *alias == there) {
                    continue;
                }
                reached.push((there, Some((next, link.on))));
                if there == target {
                    return Some(way_back(&reached));
                }
            }
        }
        next += 1;
    }
    None
}

/// The way to the table reached last, in the order in which its tables have to be joined.
fn way_back(
    reached: &[(&'static str, Option<(usize, &'static str)>)],
) -> Vec<(&'static str, &'static str)> {
    let mut path = Vec::new();
    let mut at = reached.last();
    while let Some((alias, Some((origin, on)))) = at {
        path.push((*alias, *on));
        at = reached.get(*origin);
    }
    path.reverse();
    path
}

/// Builds terms of the WHERE clause and collects what they bind.
#[derive(Default)]
struct Filter {
    values: Vec<Value>,
    upper: bool,
}

impl Filter {
    /// Binds a value and gives its placeholder.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn condition(&mut self, column: &str, kind: Kind, condition: &Condition) -> Result<String> {
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

    fn piece(&mut self, column: &str, piece: &Piece) -> String {
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
    fn further_avu(
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
    fn visibility(&mut self, who: &Identity, from: &[Joined]) -> Vec<String> {
        let has = |alias: &str| from.iter().any(|joined| joined.alias == alias);
        let mut terms = Vec::new();
        for (alias, id, instead) in GUARDED {
            if !has(alias) || instead.is_some_and(has) {
                continue;
            }
            let user = self.bind(who.user_id);
            let level = self.bind(Level::READ_OBJECT.id());
            terms.push(format!(
                "EXISTS (SELECT 1 FROM r_objt_access AS may
                 JOIN r_user_group AS mine ON mine.group_user_id = may.user_id
                 WHERE may.object_id = {alias}.{id} AND mine.user_id = {user}
                 AND may.access_type_id >= {level})"
            ));
        }
        if has("ticket") {
            let user = self.bind(who.user_id);
            terms.push(format!("ticket.user_id = {user}"));
        }
        terms
    }
}

impl Condition {
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
