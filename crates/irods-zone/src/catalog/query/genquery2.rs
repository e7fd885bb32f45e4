//! GenQuery2: a query as one text, with AND, OR, NOT and parentheses.
//!
//! ```text
//! select [distinct | no distinct] COLUMN | FUNCTION(COLUMN), ... [where CONDITIONS] [group by COLUMN, ...]
//!     [order by COLUMN [asc | desc], ...] [offset N] [limit N]
//! ```
//! It compiles to the same kind of statement as a general query: this crate's own strings, with all literals bound. Casts,
//! CASE and sub-queries are not served.

use irods_protocol::columns::{self, select};
use rusqlite::Connection;

use super::super::Identity;
use super::super::error::{CatalogError, Result, code};
use super::attributes::{self, Attribute};
use super::compile;
use super::condition::{Comparison, Piece};

/// Rows where the query has no limit (recorded exchange prc_genquery2).
const DEFAULT_LIMIT: usize = 256;
/// Most rows of one answer.
const MAX_LIMIT: usize = 10_000;
/// Longest query, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Most conditions, and their deepest nesting.
const MAX_CONDITIONS: usize = 200;
const MAX_DEPTH: usize = 50;

/// Names that only this language has (recorded exchange prc_genquery2).
const NAMES: &[(&str, i32)] = &[
    ("COLL_ACCESS_PERM_ID", columns::COLL_ACCESS_TYPE),
    ("COLL_ACCESS_PERM_NAME", columns::COLL_ACCESS_NAME),
    ("COLL_ACCESS_USER_NAME", columns::COLL_USER_NAME),
    ("COLL_ACCESS_USER_ZONE", columns::COLL_ZONE_NAME),
    ("COLL_INFO1", columns::COLL_INFO_1),
    ("COLL_INFO2", columns::COLL_INFO_2),
    ("DATA_ACCESS_PERM_ID", columns::DATA_ACCESS_TYPE),
    ("DATA_ACCESS_PERM_NAME", columns::DATA_ACCESS_NAME),
    ("DATA_ACCESS_USER_NAME", columns::DATA_USER_NAME),
    ("DATA_ACCESS_USER_ZONE", columns::DATA_ZONE_NAME),
    ("GROUP_ID", columns::USER_GROUP_ID),
    ("RESC_HOSTNAME", columns::RESC_LOC),
    ("RESC_PARENT_ID", columns::RESC_PARENT),
];

/// What must hold of a row.
#[derive(Debug)]
pub(super) enum Expression {
    /// Each of these.
    All(Vec<Expression>),
    /// One of these.
    Any(Vec<Expression>),
    /// Not this.
    Not(Box<Expression>),
    /// A comparison of a column.
    Term(&'static Attribute, Piece),
}

/// A query that has been read.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub distinct: bool,
    /// Column numbers and what is made of them.
    pub selects: Vec<(i32, i32)>,
    pub wanted: Option<Expression>,
    /// Columns, and whether descending.
    pub order: Vec<(&'static Attribute, bool)>,
    pub limit: Option<usize>,
    pub offset: u64,
}

/// Runs a query; a row is its values.
///
/// # Errors
/// `SYS_LIBRARY_ERROR` for a text that is no query, `SYS_INVALID_INPUT_PARAM` for an unknown column,
/// `CAT_FAILED_TO_LINK_TABLES`.
pub fn run(conn: &Connection, who: &Identity, text: &str) -> Result<Vec<Vec<String>>> {
    let query = parse(text)?;
    let compiled = compile::compile_text(who, &query)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let mut rows = Vec::new();
    compiled.fetch(conn, query.offset, limit, |row| {
        rows.push(row);
        true
    })?;
    Ok(rows)
}

/// The statement that a query becomes.
///
/// # Errors
/// As [`run`].
pub fn sql(who: &Identity, text: &str) -> Result<String> {
    Ok(compile::compile_text(who, &parse(text)?)?.sql)
}

/// Names of the columns, each with its table and its column there.
#[must_use]
pub fn mappings() -> Vec<(&'static str, &'static str, &'static str)> {
    let general = columns::COLUMNS
        .iter()
        .map(|&(number, name)| (name, number));
    let known = general
        .chain(NAMES.iter().copied())
        .filter_map(|(name, number)| {
            let attribute = attributes::attribute(number)?;
            let table = attributes::table_of(attribute.table)?.name;
            Some((name, table, attribute.column))
        });
    known.collect()
}

#[derive(Debug, Clone, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Literal(String),
    Sign(&'static str),
}

fn syntax(message: impl std::fmt::Display, at: usize) -> CatalogError {
    CatalogError::new(
        code::SYS_LIBRARY_ERROR,
        format!("syntax error, {message} at position {at}"),
    )
}

const SIGNS: [&str; 11] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "*"];

/// The words of a text, each with its place.
fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len() + 1;
        if rest.is_empty() {
            return Ok(found);
        }
        let token = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            rest = &rest[sign.len()..];
            Token::Sign(sign)
        } else if rest.starts_with('\'') {
            let (literal, behind) =
                literal(&rest[1..]).ok_or_else(|| syntax("a literal has no end", at))?;
            rest = behind;
            Token::Literal(literal)
        } else {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(syntax("unexpected character", at));
            }
            let (word, behind) = rest.split_at(end);
            rest = behind;
            Token::Word(word)
        };
        found.push((token, at));
    }
}

/// The literal whose beginning has been read, and what comes behind it. A quote is written twice.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut literal = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('\'')?;
        literal.push_str(part);
        match behind.strip_prefix('\'') {
            Some(more) => {
                literal.push('\'');
                rest = more;
            }
            None => return Some((literal, behind)),
        }
    }
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token<'a>, usize)>>,
    end: usize,
    conditions: usize,
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query> {
    if text.len() > MAX_TEXT {
        return Err(syntax("the query is too long", MAX_TEXT));
    }
    let mut parser = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
        end: text.len() + 1,
        conditions: 0,
    };
    let query = parser.query()?;
    match parser.tokens.next() {
        None => Ok(query),
        Some((_, at)) => Err(syntax("the end expected", at)),
    }
}

impl Parser<'_> {
    fn place(&mut self) -> usize {
        let end = self.end;
        self.tokens.peek().map_or(end, |(_, at)| *at)
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let fits = match self.tokens.peek() {
            Some((Token::Word(word), _)) => word.eq_ignore_ascii_case(wanted),
            Some((Token::Sign(sign), _)) => *sign == wanted,
            _ => false,
        };
        if fits {
            self.tokens.next();
        }
        fits
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        let at = self.place();
        if self.accept(wanted) {
            return Ok(());
        }
        Err(syntax(format!("expecting {}", wanted.to_uppercase()), at))
    }

    fn word(&mut self) -> Result<&str> {
        let at = self.place();
        match self.tokens.next() {
            Some((Token::Word(word), _)) => Ok(word),
            _ => Err(syntax("expecting a name", at)),
        }
    }

    fn literal(&mut self) -> Result<String> {
        let at = self.place();
        match self.tokens.next() {
            Some((Token::Literal(literal), _)) => Ok(literal),
            _ => Err(syntax("expecting a literal", at)),
        }
    }

    fn number(&mut self) -> Result<u64> {
        let at = self.place();
        let word = self.word()?;
        word.parse().map_err(|_| syntax("expecting a number", at))
    }

    fn column(&mut self) -> Result<(i32, &'static Attribute)> {
        column_of(self.word()?)
    }

    fn query(&mut self) -> Result<Query> {
        let mut query = Query {
            distinct: true,
            ..Query::default()
        };
        self.expect("select")?;
        if self.accept("no") {
            self.expect("distinct")?;
            query.distinct = false;
        } else {
            self.accept("distinct");
        }
        loop {
            query.selects.push(self.selected()?);
            if !self.accept(",") {
                break;
            }
        }
        if self.accept("where") {
            query.wanted = Some(self.any(0)?);
        }
        if self.accept("group") {
            self.expect("by")?;
            // Rows are grouped by all columns that no function is applied to.
            loop {
                self.column()?;
                if !self.accept(",") {
                    break;
                }
            }
        }
        if self.accept("order") {
            self.expect("by")?;
            loop {
                let (_, column) = self.column()?;
                let descending = self.accept("desc");
                if !descending {
                    self.accept("asc");
                }
                query.order.push((column, descending));
                if !self.accept(",") {
                    break;
                }
            }
        }
        loop {
            if self.accept("offset") {
                query.offset = self.number()?;
            } else if self.accept("limit") {
                query.limit = Some(usize::try_from(self.number()?).unwrap_or(MAX_LIMIT));
            } else {
                return Ok(query);
            }
        }
    }

    fn selected(&mut self) -> Result<(i32, i32)> {
        let word = self.word()?.to_owned();
        if !self.accept("(") {
            return Ok((column_of(&word)?.0, select::PLAIN));
        }
        let function = match word.to_ascii_lowercase().as_str() {
            "count" => select::COUNT,
            "sum" => select::SUM,
            "avg" => select::AVG,
            "min" => select::MIN,
            "max" => select::MAX,
            _ => return Err(unknown(&word)),
        };
        let (number, _) = self.column()?;
        self.expect(")")?;
        Ok((number, function))
    }

    fn any(&mut self, depth: usize) -> Result<Expression> {
        let mut parts = vec![self.all(depth)?];
        while self.accept("or") {
            parts.push(self.all(depth)?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<Expression> {
        let mut parts = vec![self.one(depth)?];
        while self.accept("and") {
            parts.push(self.one(depth)?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Expression> {
        let at = self.place();
        self.conditions += 1;
        if depth > MAX_DEPTH || self.conditions > MAX_CONDITIONS {
            return Err(syntax("too many conditions", at));
        }
        if self.accept("not") {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.accept("(") {
            let inner = self.any(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let (_, column) = self.column()?;
        self.term(column)
    }

    fn term(&mut self, column: &'static Attribute) -> Result<Expression> {
        if self.accept("is") {
            let negated = self.accept("not");
            self.expect("null")?;
            return Ok(Expression::Term(column, Piece::Null { negated }));
        }
        let negated = self.accept("not");
        let at = self.place();
        let piece = if self.accept("like") {
            let pattern = self.literal()?;
            return Ok(Expression::Term(column, Piece::Like { pattern, negated }));
        } else if self.accept("between") {
            let low = self.literal()?;
            self.expect("and")?;
            Piece::Between(low, self.literal()?)
        } else if self.accept("in") {
            self.expect("(")?;
            let mut literals = vec![self.literal()?];
            while self.accept(",") {
                literals.push(self.literal()?);
            }
            self.expect(")")?;
            Piece::In(literals)
        } else {
            let comparisons = [
                ("=", Comparison::Equal),
                ("!=", Comparison::NotEqual),
                ("<>", Comparison::NotEqual),
                ("<=", Comparison::LessOrEqual),
                (">=", Comparison::GreaterOrEqual),
                ("<", Comparison::Less),
                (">", Comparison::Greater),
            ];
            let with = comparisons.into_iter().find(|(sign, _)| self.accept(sign));
            let Some((_, with)) = with.filter(|_| !negated) else {
                return Err(syntax("expecting a comparison", at));
            };
            let literal = self.literal()?;
            Piece::Compare {
                with,
                literal,
                numeric: false,
            }
        };
        let term = Expression::Term(column, piece);
        Ok(if negated {
            Expression::Not(Box::new(term))
        } else {
            term
        })
    }
}

fn unknown(name: &str) -> CatalogError {
    CatalogError::new(
        code::SYS_INVALID_INPUT_PARAM,
        format!("Could not generate SQL from GenQuery2 string: there is no {name}."),
    )
}

fn column_of(name: &str) -> Result<(i32, &'static Attribute)> {
    let own = NAMES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    let number = own.map_or_else(|| columns::number_of(name), |&(_, number)| Some(number));
    let number = number.ok_or_else(|| unknown(name))?;
    let attribute = attributes::attribute(number).ok_or_else(|| unknown(name))?;
    Ok((number, attribute))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::testing;
    use super::*;
    use proptest::prelude::*;

    fn ask(text: &str) -> Vec<Vec<String>> {
        let conn = testing::catalog();
        let rods = testing::rods(&conn);
        for n in 0..5 {
            testing::object(&conn, &rods, &format!("/z/home/rods/f{n}"), n);
        }
        testing::object(&conn, &rods, "/z/home/rods/it's", 7);
        run(&conn, &rods, text).unwrap()
    }

    #[test]
    fn conditions_nest_and_bind() {
        for (wanted, names) in [
            (
                "DATA_NAME = 'f1' or DATA_NAME = 'f3' and DATA_SIZE = '0'",
                "f1",
            ),
            (
                "(DATA_NAME = 'f1' or DATA_NAME = 'f3') and DATA_SIZE = '3'",
                "f3",
            ),
            (
                "DATA_NAME like 'f%' and not DATA_NAME in ('f0', 'f1', 'f2')",
                "f3 f4",
            ),
            (
                "DATA_NAME not in ('f0', 'f1', 'f2') and DATA_SIZE < '5'",
                "f3 f4",
            ),
            ("DATA_SIZE between '1' and '2'", "f1 f2"),
            ("DATA_SIZE not between '0' and '4'", "it's"),
            ("DATA_NAME = 'it''s'", "it's"),
            ("DATA_NAME not like 'f%'", "it's"),
            ("DATA_NAME is null", ""),
            (
                "COLL_NAME = '/z/home/rods' and DATA_SIZE >= '4' and DATA_SIZE <> '7'",
                "f4",
            ),
            ("DATA_NAME = ''' or 1=1 --'", ""),
        ] {
            let text = format!("select DATA_NAME where {wanted} order by DATA_NAME");
            assert_eq!(ask(&text).concat().join(" "), names, "{wanted}");
        }
    }

    #[test]
    fn functions_order_and_pages() {
        assert_eq!(ask("select count(DATA_ID), sum(DATA_SIZE)"), [["6", "17"]]);
        let two = ask("SELECT DATA_NAME ORDER BY DATA_SIZE DESC LIMIT 2");
        assert_eq!(two, [["it's"], ["f4"]]);
        let second = ask("select DATA_NAME order by DATA_NAME offset 1 limit 1");
        assert_eq!(second, [["f1"]]);
        let grouped =
            ask("select COLL_NAME, max(DATA_SIZE) where DATA_SIZE != '7' group by COLL_NAME");
        assert_eq!(grouped, [["/z/home/rods", "4"]]);
        assert!(ask("select DATA_NAME limit 0").is_empty());
        let conn = testing::catalog();
        let hidden = "select COLL_NAME where COLL_NAME = '/z/home/rods'";
        assert!(
            run(&conn, &testing::alice(&conn), hidden)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_is_no_query_is_told_so() {
        let deep = format!(
            "select DATA_NAME where {}DATA_NAME = 'x'{}",
            "(".repeat(9000),
            ")".repeat(9000)
        );
        let many = format!(
            "select DATA_NAME where DATA_NAME = 'x'{}",
            " or DATA_NAME = 'x'".repeat(900)
        );
        for text in [
            "",
            "selectt",
            "select",
            "select *",
            "select DATA_NAME,",
            "select DATA_NAME where",
            "select DATA_NAME where DATA_NAME",
            "select DATA_NAME where DATA_NAME = f1",
            "select DATA_NAME where DATA_NAME = 'f1",
            "select DATA_NAME where (DATA_NAME = 'f1'",
            "select DATA_NAME; drop table r_data_main",
            "select DATA_NAME limit x",
            &deep,
            &many,
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, code::SYS_LIBRARY_ERROR, "{text:.60}");
        }
        for text in ["select NOT_A_COLUMN", "select md5(DATA_NAME)"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, code::SYS_INVALID_INPUT_PARAM, "{text}");
        }
    }

    fn word() -> impl Strategy<Value = String> {
        let known = [
            "select",
            "distinct",
            "no",
            "where",
            "and",
            "or",
            "not",
            "in",
            "like",
            "between",
            "is",
            "null",
            "group",
            "order",
            "by",
            "asc",
            "desc",
            "limit",
            "offset",
            "count",
            "(",
            ")",
            ",",
            "=",
            "<",
            "'",
            "''",
            "'x'",
            "1",
            ";",
            "--",
            "DATA_NAME",
            "COLL_NAME",
            "USER_NAME",
            "META_DATA_ATTR_NAME",
        ];
        let known: Vec<String> = known.iter().map(|word| (*word).to_owned()).collect();
        prop_oneof![9 => proptest::sample::select(known), 1 => any::<String>()]
    }

    proptest! {
        #[test]
        fn any_text_gives_a_select_or_an_error(
            words in proptest::collection::vec(word(), 0..40),
            select in any::<bool>(),
        ) {
            let conn = testing::catalog();
            let mut text = words.join(" ");
            if select {
                text = format!("select DATA_NAME where {text}");
            }
            let Ok(query) = parse(&text) else {
                return Ok(());
            };
            if let Ok(compiled) = compile::compile_text(&testing::alice(&conn), &query) {
                super::super::tests::assert_one_select(&conn, &compiled);
            }
        }

        #[test]
        fn no_literal_is_in_the_statement(one in any::<String>(), other in any::<String>()) {
            let conn = testing::catalog();
            let sql = |literal: &str| {
                let literal = literal.replace('\'', "''");
                let text = format!(
                    "select DATA_NAME where DATA_NAME = '{literal}' or COLL_NAME like '{literal}' and DATA_SIZE in ('{literal}', '1')"
                );
                let compiled = compile::compile_text(&testing::alice(&conn), &parse(&text).unwrap());
                let compiled = compiled.unwrap();
                super::super::tests::assert_one_select(&conn, &compiled);
                compiled.sql
            };
            prop_assert_eq!(sql(&one), sql(&other));
        }
    }
}
