//! Metadata and permissions that a put brings along, as the keywords that servers read them from.

use irods_protocol::keywords;
use irods_protocol::message::KeyValPair;

use crate::access::Grant;
use crate::metadata::Avu;

/// AVUs, which a server attaches when the object has its bytes.
pub(super) fn set_metadata(keywords: &mut KeyValPair, metadata: &[Avu]) {
    if !metadata.is_empty() {
        keywords.set(keywords::METADATA_INCLUDED, included_metadata(metadata));
    }
}

/// Permissions.
pub(super) fn set_access(keywords: &mut KeyValPair, access: &[Grant]) {
    if !access.is_empty() {
        keywords.set(keywords::ACL_INCLUDED, included_access(access));
    }
}

/// `attribute;value;units` triples, `;`-joined, special characters behind a backslash.
fn included_metadata(avus: &[Avu]) -> String {
    let fields = avus.iter().flat_map(|a| [&a.attribute, &a.value, &a.units]);
    fields.map(|f| escape(f)).collect::<Vec<_>>().join(";")
}

/// `level user` pairs, `;`-joined; the level comes first (seen on a 5.0.90 server).
fn included_access(access: &[Grant]) -> String {
    let pairs = access.iter();
    pairs
        .map(|grant| format!("{} {}", escape(&grant.level), escape(&grant.user)))
        .collect::<Vec<_>>()
        .join(";")
}

fn escape(field: &str) -> String {
    field.replace('\\', "\\\\").replace(';', "\\;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_permissions_are_written_as_servers_read_them() {
        let avus = [Avu::new("a1", "v1", "u1"), Avu::new("a;2", "v\\2", "")];
        assert_eq!(included_metadata(&avus), "a1;v1;u1;a\\;2;v\\\\2;");
        let access = [Grant::new("public", "read"), Grant::new("alice", "write")];
        assert_eq!(included_access(&access), "read public;write alice");
        assert_eq!(included_metadata(&[]), "");
    }
}
