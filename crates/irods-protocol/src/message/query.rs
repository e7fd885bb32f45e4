//! GenQuery1, specific queries and GenQuery2.

use bstr::BString;

use super::{InxIvalPair, InxValPair, KeyValPair};
use crate::error::{PackError, UnpackError};
use crate::limits::MAX_SQL_ATTR;
use crate::pack::{Form, Packer, Pi, Unpacker, pi};

pi! {
    /// A query: page size, cursor, row offset, option bits, columns and conditions.
    GenQueryInp "GenQueryInp_PI" {
        max_rows "maxRows" (int),
        continue_inx "continueInx" (int),
        partial_start_index "partialStartIndex" (int),
        options "options" (int),
        cond_input "KeyValPair_PI" (struct KeyValPair),
        selects "InxIvalPair_PI" (struct InxIvalPair),
        conditions "InxValPair_PI" (struct InxValPair),
    }

    /// A registered query by alias or text, with its arguments.
    SpecificQueryInp "specificQueryInp_PI" {
        sql "sql" (strptr),
        arg1 "arg1" (strptr),
        arg2 "arg2" (strptr),
        arg3 "arg3" (strptr),
        arg4 "arg4" (strptr),
        arg5 "arg5" (strptr),
        arg6 "arg6" (strptr),
        arg7 "arg7" (strptr),
        arg8 "arg8" (strptr),
        arg9 "arg9" (strptr),
        arg10 "arg10" (strptr),
        max_rows "maxRows" (int),
        continue_inx "continueInx" (int),
        row_offset "rowOffset" (int),
        options "options" (int),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// A query in the second language, from 4.3.2 on.
    GenQuery2Inp "Genquery2Input_PI" {
        query_string "query_string" (strptr),
        zone "zone" (strptr),
        sql_only "sql_only" (int),
        column_mappings "column_mappings" (int),
    }
}

/// One column of a result. Values are bytes: a catalog may hold names that are not UTF-8, and one of them must not make
/// a page unreadable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlResult {
    /// The column that was asked for.
    pub attri_inx: i32,
    /// Capacity of each value in the server's memory: more than the longest value.
    pub reslen: i32,
    /// A value a row.
    pub values: Vec<BString>,
}

impl SqlResult {
    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin("SqlResult_PI", |p| {
            p.int("attriInx", self.attri_inx);
            p.int("reslen", self.reslen);
            p.text_array("value", &self.values)
        })
    }

    /// The number of rows is known to the enclosing structure only.
    fn unpack(u: &mut Unpacker<'_>, rows: i32) -> Result<Self, UnpackError> {
        u.begin("SqlResult_PI", |u| {
            Ok(SqlResult {
                attri_inx: u.int("attriInx")?,
                reslen: u.int("reslen")?,
                values: u.text_array("value", rows)?,
            })
        })
    }
}

/// `GenQueryOut_PI`: one page of rows, column by column. On the wire there are always 50 columns; the unused ones are
/// empty and not kept here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenQueryOut {
    /// Rows in this page.
    pub row_cnt: i32,
    /// Cursor for the next page; 0 if there is none.
    pub continue_inx: i32,
    /// All rows, if the query asked for their number.
    pub total_row_count: i32,
    /// `attriCnt` columns.
    pub columns: Vec<SqlResult>,
}

impl GenQueryOut {
    /// The values of a column, by its number.
    pub fn column(&self, attri_inx: i32) -> Option<&[BString]> {
        self.columns
            .iter()
            .find(|c| c.attri_inx == attri_inx)
            .map(|c| c.values.as_slice())
    }
}

impl Pi for GenQueryOut {
    const NAME: &'static str = "GenQueryOut_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            if self.columns.len() > MAX_SQL_ATTR {
                return Err(PackError::TooMany {
                    field: "SqlResult_PI",
                });
            }
            let rows = usize::try_from(self.row_cnt).unwrap_or(0);
            let lens = self.columns.iter().map(|c| c.values.len());
            if let Some(len) = lens.into_iter().find(|&len| len != 0 && len != rows) {
                return Err(PackError::Count {
                    field: "value",
                    expected: rows,
                    len,
                });
            }
            p.int("rowCnt", self.row_cnt);
            p.count("attriCnt", self.columns.len())?;
            p.int("continueInx", self.continue_inx);
            p.int("totalRowCount", self.total_row_count);
            self.columns.iter().try_for_each(|c| c.pack(p))?;
            (self.columns.len()..MAX_SQL_ATTR).try_for_each(|_| SqlResult::default().pack(p))
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let row_cnt = u.int("rowCnt")?;
            let attri_cnt = u.int("attriCnt")?;
            let continue_inx = u.int("continueInx")?;
            let total_row_count = u.int("totalRowCount")?;
            let used = usize::try_from(attri_cnt)
                .ok()
                .filter(|&n| n <= MAX_SQL_ATTR)
                .ok_or(UnpackError::BadCount {
                    field: "attriCnt",
                    count: attri_cnt.into(),
                })?;
            let columns = (0..used)
                .map(|_| SqlResult::unpack(u, row_cnt))
                .collect::<Result<Vec<_>, _>>()?;
            // The unused slots end the structure in native form, where something may follow it (bulk calls).
            if u.packing().form == Form::Native {
                (used..MAX_SQL_ATTR).try_for_each(|_| SqlResult::unpack(u, row_cnt).map(drop))?;
            }
            Ok(GenQueryOut {
                row_cnt,
                continue_inx,
                total_row_count,
                columns,
            })
        })
    }
}
