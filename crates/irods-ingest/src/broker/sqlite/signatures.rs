//! The cache of signatures. A segment counts at its position: its own number, or that of the first segment that it replaced.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Tried, bytes, int, uint};
use super::writer::Tx;
use crate::broker::limits::MAX_SEGMENT;
use crate::broker::{Compaction, Segment, SegmentId};

const ORDER: &str = "coalesce(position, id)";

impl Tx<'_> {
    fn record(&self, key: &[u8]) -> Tried<Option<i64>> {
        let sql = "SELECT id FROM record WHERE key = ?1";
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }

    pub(super) fn append(&self, key: &[u8], bytes: &[u8]) -> Tried<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let record = match self.record(key)? {
            Some(record) => record,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO record (key) VALUES (?1)")?
                    .execute([key])?;
                self.connection.last_insert_rowid()
            }
        };
        self.connection
            .prepare_cached("INSERT INTO segment (record, bytes) VALUES (?1, ?2)")?
            .execute(params![record, bytes])?;
        Ok(())
    }

    pub(super) fn compact(&self, compaction: &Compaction) -> Tried<()> {
        let Some(record) = self.record(&compaction.key)? else {
            return Ok(());
        };
        let mut replaces: Vec<i64> = compaction
            .replaces
            .iter()
            .map(|segment| int(segment.0))
            .collect();
        replaces.sort_unstable();
        replaces.dedup();
        let mut position = None;
        {
            let sql = format!("SELECT {ORDER} FROM segment WHERE id = ?1 AND record = ?2");
            let mut find = self.connection.prepare_cached(&sql)?;
            for segment in &replaces {
                let Some(found) = find
                    .query_row([*segment, record], |row| row.get::<_, i64>(0))
                    .optional()?
                else {
                    return Ok(());
                };
                position = Some(position.map_or(found, |first: i64| first.min(found)));
            }
        }
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM segment WHERE id = ?1")?;
        for segment in &replaces {
            delete.execute([segment])?;
        }
        if !compaction.bytes.is_empty() {
            self.connection
                .prepare_cached(
                    "INSERT INTO segment (record, position, bytes) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![record, position, compaction.bytes])?;
            return Ok(());
        }
        let sql = "DELETE FROM record WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM segment WHERE record = ?1)";
        self.connection.prepare_cached(sql)?.execute([record])?;
        Ok(())
    }

    pub(super) fn clear_signatures(&self, prefix: &[u8]) -> Tried<u64> {
        let (range, bounds) = match after_prefix(prefix) {
            Some(end) => ("key >= ?1 AND key < ?2", vec![prefix.to_vec(), end]),
            None => ("key >= ?1", vec![prefix.to_vec()]),
        };
        let bounds = rusqlite::params_from_iter(&bounds);
        let sql =
            format!("DELETE FROM segment WHERE record IN (SELECT id FROM record WHERE {range})");
        self.connection.execute(&sql, bounds.clone())?;
        let records = self
            .connection
            .execute(&format!("DELETE FROM record WHERE {range}"), bounds)?;
        Ok(u64::try_from(records).unwrap_or(u64::MAX))
    }
}

/// The first key after all that start with the prefix; none if there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

pub(super) fn signatures(connection: &Connection, key: &[u8]) -> Tried<Vec<Segment>> {
    let sql = format!(
        "SELECT id, bytes FROM segment WHERE record = (SELECT record.id FROM record WHERE key = ?1) ORDER BY {ORDER}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([key])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        segments.push(Segment {
            id: SegmentId(uint(row, "id")?),
            bytes: bytes(row, "bytes", MAX_SEGMENT)?,
        });
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
