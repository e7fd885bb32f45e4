//! The records of signatures, each a hash of its own, and how all of a prefix are found.

use redis::{Cmd, Value};

use super::RedisBroker;
use super::fault::{Fault, Tried};
use super::reply::Fields;

/// Keys of one step through the whole database.
const STEP: usize = 1000;

impl RedisBroker {
    pub(super) fn record_key(&self, key: &[u8]) -> Vec<u8> {
        [self.address.prefix().as_bytes(), b"sig:", key].concat()
    }

    /// Goes through all keys, because an index of the records would cost more memory than it saves time. What is stored while it
    /// goes on may or may not be removed.
    pub(super) async fn clear(&self, prefix: &[u8]) -> Tried<u64> {
        let wanted = self.record_key(prefix);
        let mut pattern = Vec::new();
        for byte in &wanted {
            if b"*?[]\\^".contains(byte) {
                pattern.push(b'\\');
            }
            pattern.push(*byte);
        }
        pattern.push(b'*');
        let (mut cleared, mut cursor) = (0, "0".to_owned());
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(&cursor).arg("MATCH").arg(&pattern);
            scan.arg("COUNT").arg(STEP);
            let mut fields = Fields::of(self.link.command(&scan).await?)?;
            cursor = fields.text()?;
            let mut list = fields.list()?;
            let mut unlink = Cmd::new();
            unlink.arg("UNLINK");
            let mut found = false;
            while !list.is_empty() {
                let key = list.bytes(usize::MAX)?;
                if key.starts_with(&wanted) {
                    unlink.arg(key);
                    found = true;
                }
            }
            if found {
                match self.link.command(&unlink).await? {
                    Value::Int(removed) => cleared += u64::try_from(removed).unwrap_or(0),
                    _ => return Err(Fault::corrupt("UNLINK answers no number")),
                }
            }
            if cursor == "0" {
                return Ok(cleared);
            }
        }
    }
}
