//! Catalog queries (GenQuery, call 702), page by page.
//!
//! A literal extends to the last quote of its condition and nothing escapes a quote, so a text can be compared *alone* (`=
//! 'it's'`) but not joined with another by `||`, `in` or `between`: each condition here is one comparison, and all of them
//! must hold. Servers look for `||` and `&&` wherever an even number of quotes came before, so a text with an odd number of
//! apostrophes and one of these behind cannot be asked for at all; that is [`Error::Input`]. Rows come in the database's order, which is not the order of bytes: sort what must be sorted.

use bstr::{BStr, BString, ByteSlice};
use irods_protocol::columns::{self, select};
use irods_protocol::message::{GenQueryInp, GenQueryOut, InxIvalPair, InxValPair, KeyValPair};
use irods_protocol::{api, codes, keywords};

use crate::connection::{Connection, Request};
use crate::error::{Call, Error, Result, Violation};

/// Rows asked for per page unless a query says otherwise: what the C++ clients ask for.
pub const ROWS_PER_PAGE: i32 = columns::DEFAULT_ROWS;

/// What to ask the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    selects: Vec<(i32, i32)>,
    conditions: Vec<(i32, String)>,
    zone: Option<String>,
    options: i32,
    rows: i32,
    /// A text that no condition can express.
    impossible: Option<String>,
}

impl Query {
    /// The plain columns, by number ([`irods_protocol::columns`]); at most 50.
    pub fn select(columns: &[i32]) -> Self {
        Query {
            selects: columns.iter().map(|&c| (c, select::PLAIN)).collect(),
            conditions: Vec::new(),
            zone: None,
            options: 0,
            rows: ROWS_PER_PAGE,
            impossible: None,
        }
    }

    /// One more column with flags of [`select`], e.g. an aggregate or an order.
    #[must_use]
    pub fn column(mut self, column: i32, flags: i32) -> Self {
        self.selects.push((column, flags));
        self
    }

    /// The column equals the text.
    #[must_use]
    pub fn equals(self, column: i32, text: &str) -> Self {
        self.compare(column, "=", text)
    }

    /// The column compared with the text by one operator (`=`, `<>`, `<`, `like`, `n>` ...).
    #[must_use]
    pub fn compare(mut self, column: i32, operator: &str, text: &str) -> Self {
        if !is_expressible(text) {
            self.impossible = Some(text.to_owned());
        }
        self.raw(column, format!("{operator} '{text}'"))
    }

    /// A condition as it goes over the wire. No text of strangers belongs in here.
    #[must_use]
    pub fn raw(mut self, column: i32, condition: String) -> Self {
        self.conditions.push((column, condition));
        self
    }

    /// Rows about objects in another zone's catalog.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    /// Rows per page.
    #[must_use]
    pub fn rows_per_page(mut self, rows: i32) -> Self {
        self.rows = rows.max(1);
        self
    }

    /// Bits of [`columns::option`].
    #[must_use]
    pub fn options(mut self, options: i32) -> Self {
        self.options = options;
        self
    }

    fn input(&self, rows: i32, cursor: i32) -> GenQueryInp {
        let mut keywords = KeyValPair::new();
        if let Some(zone) = &self.zone {
            keywords.set(keywords::ZONE, zone.clone());
        }
        GenQueryInp {
            max_rows: rows,
            continue_inx: cursor,
            partial_start_index: 0,
            options: self.options,
            cond_input: keywords,
            selects: InxIvalPair(self.selects.clone()),
            conditions: InxValPair(self.conditions.clone()),
        }
    }
}

/// A query that the server holds open; at most 50 can be per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    query: Query,
    inx: i32,
}

/// Rows of one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows(GenQueryOut);

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        usize::try_from(self.0.row_cnt).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|at| Row { rows: self, at })
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    at: usize,
}

impl<'a> Row<'a> {
    /// The value of a column, empty if the query did not select it. Names are bytes: a catalog may hold some that are not
    /// UTF-8.
    pub fn bytes(&self, column: i32) -> &'a BStr {
        let values = self.rows.0.column(column);
        values
            .and_then(|v| v.get(self.at))
            .map_or(BStr::new(b""), |v| v.as_bstr())
    }

    /// The value as an owned name.
    pub fn name(&self, column: i32) -> BString {
        self.bytes(column).to_owned()
    }

    /// The value as text; what is not UTF-8 is replaced.
    pub fn text(&self, column: i32) -> String {
        self.bytes(column).to_str_lossy().into_owned()
    }

    /// The value as a number; the catalog pads times with zeros. `None` if it is empty or no number.
    pub fn number(&self, column: i32) -> Option<i64> {
        self.bytes(column).to_str().ok()?.trim().parse().ok()
    }
}

/// A running query. Dropped before its end, it leaves a cursor that the connection closes before its next query.
#[derive(Debug)]
pub struct Pages<'c> {
    connection: &'c mut Connection,
    query: Query,
    cursor: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Start,
    At(i32),
    End,
}

impl Pages<'_> {
    /// The next page, never an empty one; `None` after the last.
    ///
    /// # Errors
    /// As [`Connection::call`]. Finding nothing is no error.
    pub async fn next(&mut self) -> Result<Option<Rows>> {
        let inx = match self.cursor {
            Progress::Start => 0,
            Progress::At(inx) => inx,
            Progress::End => return Ok(None),
        };
        if let Some(text) = &self.query.impossible {
            return Err(Error::Input {
                call: Call::Api(api::GEN_QUERY),
                path: text.clone(),
                reason: "no query can express an apostrophe with || or && behind it".to_owned(),
            });
        }
        // Whatever goes wrong from here on, there is no cursor worth closing.
        self.cursor = Progress::End;
        let input = self.query.input(self.query.rows, inx);
        let page = self.connection.page(&input).await?;
        let Some(page) = page else { return Ok(None) };
        if page.0.continue_inx > 0 {
            self.cursor = Progress::At(page.0.continue_inx);
        }
        if page.is_empty() {
            self.cursor = Progress::End;
            return Ok(None);
        }
        Ok(Some(page))
    }

    /// All that is left, in one. Only for results whose size is known to be small.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn all<T>(mut self, mut row: impl FnMut(Row<'_>) -> T) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page.iter().map(&mut row));
        }
        Ok(all)
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        if let Progress::At(inx) = self.cursor {
            self.connection.abandoned_cursors.push(Cursor {
                query: self.query.clone(),
                inx,
            });
        }
    }
}

/// Whether a server takes the text as one literal: it looks for `||` and `&&` outside quotes, and takes each apostrophe for a
/// quote (server source 4.2 to 5.0).
fn is_expressible(text: &str) -> bool {
    // Outside the literal's own quotes are the pieces at odd positions between the apostrophes of the text.
    let outside = text.split('\'').skip(1).step_by(2);
    !outside
        .into_iter()
        .any(|piece| piece.contains("||") || piece.contains("&&"))
}

impl Connection {
    /// Starts a query; nothing is sent before [`Pages::next`].
    pub fn query(&mut self, query: Query) -> Pages<'_> {
        Pages {
            connection: self,
            query,
            cursor: Progress::Start,
        }
    }

    /// One page; `None` if nothing was found or nothing is left. Servers say so by CAT_NO_ROWS_FOUND, with a structure of
    /// empty columns beside it (seen on a 5.0.90 server).
    async fn page(&mut self, input: &GenQueryInp) -> Result<Option<Rows>> {
        self.close_cursors().await?;
        self.one_page(input).await
    }

    /// Closes the cursors of queries that nobody reads any further.
    pub(crate) async fn close_cursors(&mut self) -> Result<()> {
        while let Some(cursor) = self.abandoned_cursors.pop() {
            let close = cursor.query.input(0, cursor.inx);
            self.one_page(&close).await?;
        }
        Ok(())
    }

    async fn one_page(&mut self, input: &GenQueryInp) -> Result<Option<Rows>> {
        let request = Request::new(api::GEN_QUERY, "");
        let reply = self.exchange(request, Some(input), &mut |_| {}).await?;
        if reply.code == codes::CAT_NO_ROWS_FOUND || reply.code >= 0 && reply.message.is_empty() {
            return Ok(None);
        }
        let reply = self.checked(request, reply)?;
        let page: GenQueryOut = self.decode(api::GEN_QUERY, &reply)?;
        let rows = usize::try_from(page.row_cnt).ok();
        if page.columns.iter().any(|c| rows != Some(c.values.len())) {
            let what = "a query result whose columns differ in length".to_owned();
            return Err::<_, Error>(
                self.violation(Call::Api(api::GEN_QUERY), Violation::Content(what)),
            );
        }
        Ok(Some(Rows(page)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_packed_as_other_clients_do() {
        let query = Query::select(&[columns::COLL_ID])
            .column(columns::DATA_SIZE, select::SUM)
            .equals(columns::COLL_NAME, "/z/it's")
            .compare(columns::DATA_SIZE, "n>", "7")
            .zone("z")
            .rows_per_page(0);
        let input = query.input(query.rows, 0);
        assert_eq!(input.max_rows, 1, "0 would close the query");
        assert_eq!(input.selects.0, [(500, 1), (407, 4)]);
        assert_eq!(
            input.conditions.0,
            [(501, "= '/z/it's'".to_owned()), (407, "n> '7'".to_owned())]
        );
        assert_eq!(input.cond_input.get("zone"), Some("z"));
    }

    /// What a server does with a condition: every apostrophe opens or closes, and `||` or `&&` outside takes it apart.
    fn taken_apart(condition: &str) -> bool {
        let mut quoted = false;
        let mut outside = String::new();
        for c in condition.chars() {
            let quote = c == '\'';
            quoted ^= quote;
            outside.push(if quoted || quote { ' ' } else { c });
        }
        outside.contains("||") || outside.contains("&&")
    }

    proptest::proptest! {
        #[test]
        fn texts_that_a_server_would_take_apart_are_refused(text in "[ab'|& ]{0,12}") {
            let condition = format!("= '{text}'");
            proptest::prop_assert_eq!(is_expressible(&text), !taken_apart(&condition));
        }
    }

    #[test]
    fn rows_give_bytes_text_and_numbers() {
        let column = |inx, values: &[&[u8]]| irods_protocol::message::SqlResult {
            attri_inx: inx,
            reslen: 50,
            values: values.iter().map(|&v| BString::from(v)).collect(),
        };
        let rows = Rows(GenQueryOut {
            row_cnt: 2,
            continue_inx: 0,
            total_row_count: 0,
            columns: vec![
                column(403, &[b"a\xff", b"b"]),
                column(420, &[b"01700000000", b""]),
            ],
        });
        let got: Vec<_> = rows
            .iter()
            .map(|r| (r.name(403), r.number(420), r.text(401)))
            .collect();
        assert_eq!(
            got,
            [
                (
                    BString::from(&b"a\xff"[..]),
                    Some(1_700_000_000),
                    String::new()
                ),
                (BString::from("b"), None, String::new())
            ]
        );
        assert_eq!(
            rows.iter().next().map(|r| r.text(403)).as_deref(),
            Some("a\u{fffd}")
        );
    }
}
