//! What the catalog holds below a collection, field by field as text, so that two can be compared and shown.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use irods_client::Connection;
use irods_client::protocol::columns;
use irods_client::query::Query;

/// Fields by entry: the path below the collection, and for a data object `#` and the number of the replica.
pub type Catalog = BTreeMap<String, BTreeMap<&'static str, String>>;

/// Everything below a collection, whose name must have nothing that a pattern takes for special.
pub async fn below(zone: &mut Connection, top: &str) -> Catalog {
    let mut found = Catalog::new();
    let query = |selected: &[i32]| {
        Query::select(selected).compare(columns::COLL_NAME, "like", &format!("{top}%"))
    };
    let relative = |path: String| {
        let rest = path.strip_prefix(top)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };

    let rows = query(&[columns::COLL_NAME, columns::COLL_OWNER_NAME]);
    let rows = zone.query(rows).all(|row| {
        let owner = row.text(columns::COLL_OWNER_NAME);
        (row.text(columns::COLL_NAME), owner)
    });
    for (path, owner) in rows.await.unwrap() {
        if let Some(path) = relative(path) {
            found.insert(format!("{path}/"), BTreeMap::from([("owner", owner)]));
        }
    }

    let rows = query(&[
        columns::COLL_NAME,
        columns::DATA_NAME,
        columns::DATA_REPL_NUM,
        columns::DATA_SIZE,
        columns::DATA_MODIFY_TIME,
        columns::DATA_REPL_STATUS,
        columns::DATA_RESC_HIER,
        columns::DATA_OWNER_NAME,
        columns::DATA_CHECKSUM,
        columns::DATA_PATH,
    ]);
    let rows = zone.query(rows).all(|row| {
        let fields = [
            ("size", row.text(columns::DATA_SIZE)),
            // Some calls pad it with zeros, some do not.
            (
                "time",
                row.number(columns::DATA_MODIFY_TIME).unwrap().to_string(),
            ),
            ("status", row.text(columns::DATA_REPL_STATUS)),
            ("resource", row.text(columns::DATA_RESC_HIER)),
            ("owner", row.text(columns::DATA_OWNER_NAME)),
            ("checksum", row.text(columns::DATA_CHECKSUM)),
            ("path", row.text(columns::DATA_PATH)),
        ];
        let number = row.text(columns::DATA_REPL_NUM);
        let name = row.text(columns::DATA_NAME);
        (row.text(columns::COLL_NAME), name, number, fields)
    });
    for (path, name, number, fields) in rows.await.unwrap() {
        if let Some(path) = relative(path) {
            let fields = BTreeMap::from(fields);
            found.insert(format!("{path}/{name}#{number}"), fields);
        }
    }

    let rows = query(&[
        columns::COLL_NAME,
        columns::DATA_NAME,
        columns::META_DATA_ATTR_NAME,
        columns::META_DATA_ATTR_VALUE,
        columns::META_DATA_ATTR_UNITS,
    ]);
    let rows = zone.query(rows).all(|row| {
        let avu = [
            row.text(columns::META_DATA_ATTR_NAME),
            row.text(columns::META_DATA_ATTR_VALUE),
            row.text(columns::META_DATA_ATTR_UNITS),
        ];
        let name = row.text(columns::DATA_NAME);
        (row.text(columns::COLL_NAME), name, avu.join(", "))
    });
    let mut avus: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, name, avu) in rows.await.unwrap() {
        if let Some(path) = relative(path) {
            avus.entry(format!("{path}/{name}#0"))
                .or_default()
                .push(avu);
        }
    }
    for (entry, mut avus) in avus {
        avus.sort();
        let fields = found.get_mut(&entry).unwrap();
        fields.insert("metadata", avus.join("; "));
    }
    found
}

/// Puts the bytes of each replica that lies in the vault beside its other fields.
pub fn with_content(mut catalog: Catalog, vault: &Path) -> Catalog {
    for fields in catalog.values_mut() {
        let Some(path) = fields.get("path") else {
            continue;
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        if path.starts_with(vault) {
            let bytes = std::fs::read(path).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            fields.insert("content", text);
        }
    }
    catalog
}
