//! The one table from which every general query is compiled: which column of which table a column
//! number means, and how tables join.
//!
//! A table appears once for each part that it plays (`r_user_main` as the users, as the groups, as
//! the users behind permissions …), under an alias of its own. Links are equalities between two
//! aliases. Aliases that are `ends` are joined when asked for but never walked through on the way to
//! another one: two users of one zone have nothing to do with each other.

/// How a column's values compare and add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, also where it holds digits (times, free space).
    Text,
    /// 64-bit integer.
    Integer,
}

/// A column that can be selected and compared.
#[derive(Debug)]
pub(super) struct Attribute {
    /// Number on the wire.
    pub number: i32,
    /// Alias of its table.
    pub table: &'static str,
    /// Column in that table.
    pub column: &'static str,
    /// Kind of its values.
    pub kind: Kind,
}

impl Attribute {
    /// The column as it stands in a statement.
    pub fn place(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}

/// A table under the alias of one of its parts.
#[derive(Debug)]
pub(super) struct Table {
    /// Alias, unique.
    pub alias: &'static str,
    /// Name in the schema.
    pub name: &'static str,
    /// Never on the way to another table.
    pub ends: bool,
}

/// A column of an alias.
pub(super) type Place = (&'static str, &'static str);

/// Two tables and the columns that are equal where they join.
#[derive(Debug)]
pub(super) struct Link {
    /// One column.
    pub a: Place,
    /// The other.
    pub b: Place,
    /// A further condition of the join, or nothing.
    pub also: Option<&'static str>,
}

/// Metadata of one kind of object.
#[derive(Debug)]
pub(super) struct MetaGroup {
    /// Column number of the attribute name; value and units follow it.
    pub first: i32,
    /// Alias of the AVUs.
    pub meta: &'static str,
    /// Alias of the map from objects to AVUs.
    pub map: &'static str,
    /// Alias of the objects.
    pub object: &'static str,
    /// The objects' id.
    pub id: &'static str,
}

const fn table(alias: &'static str, name: &'static str) -> Table {
    Table {
        alias,
        name,
        ends: false,
    }
}

const fn end(alias: &'static str, name: &'static str) -> Table {
    Table {
        alias,
        name,
        ends: true,
    }
}

const fn link(a: Place, b: Place) -> Link {
    Link { a, b, also: None }
}

/// An access level's name: its token is one of several kinds.
const fn level(a: Place, b: Place, also: &'static str) -> Link {
    Link {
        a,
        b,
        also: Some(also),
    }
}

pub(super) const TABLES: &[Table] = &[
    table("data", "r_data_main"),
    table("coll", "r_coll_main"),
    table("resc", "r_resc_main"),
    table("usr", "r_user_main"),
    end("zone", "r_zone_main"),
    table("member", "r_user_group"),
    end("grp", "r_user_main"),
    table("data_access", "r_objt_access"),
    table("coll_access", "r_objt_access"),
    table("resc_access", "r_objt_access"),
    end("data_level", "r_tokn_main"),
    end("coll_level", "r_tokn_main"),
    end("resc_level", "r_tokn_main"),
    end("data_user", "r_user_main"),
    end("coll_user", "r_user_main"),
    end("resc_user", "r_user_main"),
    table("data_map", "r_objt_metamap"),
    table("coll_map", "r_objt_metamap"),
    table("resc_map", "r_objt_metamap"),
    table("user_map", "r_objt_metamap"),
    end("data_meta", "r_meta_main"),
    end("coll_meta", "r_meta_main"),
    end("resc_meta", "r_meta_main"),
    end("user_meta", "r_meta_main"),
    end("auth", "r_user_auth"),
    end("token", "r_tokn_main"),
    end("audit", "r_objt_audit"),
    end("rule", "r_rule_exec"),
    table("quota", "r_quota_main"),
    table("quota_usage", "r_quota_usage"),
    end("quota_resc", "r_resc_main"),
    end("quota_user", "r_user_main"),
    table("ticket", "r_ticket_main"),
    end("ticket_host", "r_ticket_allowed_hosts"),
    end("ticket_user", "r_ticket_allowed_users"),
    end("ticket_group", "r_ticket_allowed_groups"),
    table("ticket_data", "r_data_main"),
    end("ticket_data_coll", "r_coll_main"),
    end("ticket_coll", "r_coll_main"),
    end("ticket_owner", "r_user_main"),
];

pub(super) const LINKS: &[Link] = &[
    link(("data", "coll_id"), ("coll", "coll_id")),
    link(("data", "resc_id"), ("resc", "resc_id")),
    link(("data", "data_id"), ("data_access", "object_id")),
    link(("coll", "coll_id"), ("coll_access", "object_id")),
    link(("resc", "resc_id"), ("resc_access", "object_id")),
    level(
        ("data_access", "access_type_id"),
        ("data_level", "token_id"),
        "data_level.token_namespace = 'access_type'",
    ),
    level(
        ("coll_access", "access_type_id"),
        ("coll_level", "token_id"),
        "coll_level.token_namespace = 'access_type'",
    ),
    level(
        ("resc_access", "access_type_id"),
        ("resc_level", "token_id"),
        "resc_level.token_namespace = 'access_type'",
    ),
    link(("data_access", "user_id"), ("data_user", "user_id")),
    link(("coll_access", "user_id"), ("coll_user", "user_id")),
    link(("resc_access", "user_id"), ("resc_user", "user_id")),
    link(("data_access", "user_id"), ("usr", "user_id")),
    link(("coll_access", "user_id"), ("usr", "user_id")),
    link(("resc_access", "user_id"), ("usr", "user_id")),
    link(("data", "data_id"), ("data_map", "object_id")),
    link(("coll", "coll_id"), ("coll_map", "object_id")),
    link(("resc", "resc_id"), ("resc_map", "object_id")),
    link(("usr", "user_id"), ("user_map", "object_id")),
    link(("data_map", "meta_id"), ("data_meta", "meta_id")),
    link(("coll_map", "meta_id"), ("coll_meta", "meta_id")),
    link(("resc_map", "meta_id"), ("resc_meta", "meta_id")),
    link(("user_map", "meta_id"), ("user_meta", "meta_id")),
    link(("usr", "user_id"), ("member", "user_id")),
    link(("member", "group_user_id"), ("grp", "user_id")),
    link(("usr", "zone_name"), ("zone", "zone_name")),
    link(("resc", "zone_name"), ("zone", "zone_name")),
    link(("usr", "user_id"), ("auth", "user_id")),
    link(("usr", "user_id"), ("audit", "user_id")),
    link(("data", "data_id"), ("audit", "object_id")),
    link(("coll", "coll_id"), ("audit", "object_id")),
    link(("quota", "resc_id"), ("quota_resc", "resc_id")),
    link(("quota", "user_id"), ("quota_user", "user_id")),
    link(("quota_usage", "resc_id"), ("quota_resc", "resc_id")),
    link(("quota_usage", "user_id"), ("quota_user", "user_id")),
    link(("usr", "user_id"), ("quota", "user_id")),
    link(("usr", "user_id"), ("quota_usage", "user_id")),
    link(("ticket", "ticket_id"), ("ticket_host", "ticket_id")),
    link(("ticket", "ticket_id"), ("ticket_user", "ticket_id")),
    link(("ticket", "ticket_id"), ("ticket_group", "ticket_id")),
    link(("ticket", "object_id"), ("ticket_data", "data_id")),
    link(("ticket_data", "coll_id"), ("ticket_data_coll", "coll_id")),
    link(("ticket", "object_id"), ("ticket_coll", "coll_id")),
    link(("ticket", "user_id"), ("ticket_owner", "user_id")),
    link(("ticket", "user_id"), ("usr", "user_id")),
];

pub(super) const META_GROUPS: &[MetaGroup] = &[
    MetaGroup {
        first: 600,
        meta: "data_meta",
        map: "data_map",
        object: "data",
        id: "data_id",
    },
    MetaGroup {
        first: 610,
        meta: "coll_meta",
        map: "coll_map",
        object: "coll",
        id: "coll_id",
    },
    MetaGroup {
        first: 630,
        meta: "resc_meta",
        map: "resc_map",
        object: "resc",
        id: "resc_id",
    },
    MetaGroup {
        first: 640,
        meta: "user_meta",
        map: "user_map",
        object: "usr",
        id: "user_id",
    },
];

/// Columns that tell the rows of a table apart, several ways where there are several.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("r_data_main", &["data_id", "data_repl_num"]),
    ("r_data_main", &["coll_id", "data_name", "data_repl_num"]),
    ("r_coll_main", &["coll_id"]),
    ("r_coll_main", &["coll_name"]),
    ("r_resc_main", &["resc_id"]),
    ("r_resc_main", &["resc_name"]),
    ("r_user_main", &["user_id"]),
    ("r_user_main", &["user_name", "zone_name"]),
    ("r_zone_main", &["zone_id"]),
    ("r_zone_main", &["zone_name"]),
    ("r_user_group", &["user_id", "group_user_id"]),
    ("r_objt_access", &["object_id", "user_id"]),
    ("r_objt_metamap", &["object_id", "meta_id"]),
    ("r_meta_main", &["meta_id"]),
    ("r_tokn_main", &["token_namespace", "token_id"]),
];

/// Aliases whose rows ordinary users see only where they may read the object of that id. The second
/// alias, if in the query too, is what the check is made on instead.
pub(super) const GUARDED: &[(&str, &str, Option<&str>)] = &[
    ("data", "data_id", None),
    ("coll", "coll_id", None),
    ("data_access", "object_id", Some("data")),
    ("coll_access", "object_id", Some("coll")),
    ("data_map", "object_id", Some("data")),
    ("coll_map", "object_id", Some("coll")),
    ("ticket_data", "data_id", None),
    ("ticket_coll", "coll_id", None),
    ("audit", "object_id", None),
];

/// The table of that alias.
pub(super) fn table_of(alias: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.alias == alias)
}

/// The attribute of that number.
pub(super) fn attribute(number: i32) -> Option<&'static Attribute> {
    let at = ATTRIBUTES
        .binary_search_by_key(&number, |a| a.number)
        .ok()?;
    ATTRIBUTES.get(at)
}

macro_rules! attributes {
    ($($number:literal $table:ident . $column:ident $kind:ident),+ $(,)?) => {
        /// Every attribute, ascending by number.
        pub(super) const ATTRIBUTES: &[Attribute] = &[$(Attribute {
            number: $number,
            table: stringify!($table),
            column: stringify!($column),
            kind: Kind::$kind,
        }),+];
    };
}

attributes! {
    101 zone.zone_id Integer,
    102 zone.zone_name Text,
    103 zone.zone_type_name Text,
    104 zone.zone_conn_string Text,
    105 zone.r_comment Text,
    106 zone.create_ts Text,
    107 zone.modify_ts Text,
    201 usr.user_id Integer,
    202 usr.user_name Text,
    203 usr.user_type_name Text,
    204 usr.zone_name Text,
    206 usr.user_info Text,
    207 usr.r_comment Text,
    208 usr.create_ts Text,
    209 usr.modify_ts Text,
    301 resc.resc_id Integer,
    302 resc.resc_name Text,
    303 resc.zone_name Text,
    304 resc.resc_type_name Text,
    305 resc.resc_class_name Text,
    306 resc.resc_net Text,
    307 resc.resc_def_path Text,
    308 resc.free_space Text,
    309 resc.resc_info Text,
    310 resc.r_comment Text,
    311 resc.create_ts Text,
    312 resc.modify_ts Text,
    313 resc.resc_status Text,
    314 resc.free_space_ts Text,
    315 resc.resc_children Text,
    316 resc.resc_context Text,
    317 resc.resc_parent Text,
    318 resc.resc_parent_context Text,
    319 resc.modify_ts_millis Text,
    401 data.data_id Integer,
    402 data.coll_id Integer,
    403 data.data_name Text,
    404 data.data_repl_num Integer,
    405 data.data_version Text,
    406 data.data_type_name Text,
    407 data.data_size Integer,
    409 resc.resc_name Text,
    410 data.data_path Text,
    411 data.data_owner_name Text,
    412 data.data_owner_zone Text,
    413 data.data_is_dirty Integer,
    414 data.data_status Text,
    415 data.data_checksum Text,
    416 data.data_expiry_ts Text,
    417 data.data_map_id Integer,
    418 data.r_comment Text,
    419 data.create_ts Text,
    420 data.modify_ts Text,
    421 data.data_mode Text,
    422 resc.resc_hier Text,
    423 data.resc_id Integer,
    424 data.access_ts Text,
    500 coll.coll_id Integer,
    501 coll.coll_name Text,
    502 coll.parent_coll_name Text,
    503 coll.coll_owner_name Text,
    504 coll.coll_owner_zone Text,
    505 coll.coll_map_id Integer,
    506 coll.coll_inheritance Text,
    507 coll.r_comment Text,
    508 coll.create_ts Text,
    509 coll.modify_ts Text,
    510 coll.coll_type Text,
    511 coll.coll_info1 Text,
    512 coll.coll_info2 Text,
    600 data_meta.meta_attr_name Text,
    601 data_meta.meta_attr_value Text,
    602 data_meta.meta_attr_unit Text,
    603 data_meta.meta_id Integer,
    604 data_meta.create_ts Text,
    605 data_meta.modify_ts Text,
    610 coll_meta.meta_attr_name Text,
    611 coll_meta.meta_attr_value Text,
    612 coll_meta.meta_attr_unit Text,
    613 coll_meta.meta_id Integer,
    614 coll_meta.create_ts Text,
    615 coll_meta.modify_ts Text,
    620 coll_meta.meta_namespace Text,
    621 data_meta.meta_namespace Text,
    622 resc_meta.meta_namespace Text,
    623 user_meta.meta_namespace Text,
    630 resc_meta.meta_attr_name Text,
    631 resc_meta.meta_attr_value Text,
    632 resc_meta.meta_attr_unit Text,
    633 resc_meta.meta_id Integer,
    634 resc_meta.create_ts Text,
    635 resc_meta.modify_ts Text,
    640 user_meta.meta_attr_name Text,
    641 user_meta.meta_attr_value Text,
    642 user_meta.meta_attr_unit Text,
    643 user_meta.meta_id Integer,
    644 user_meta.create_ts Text,
    645 user_meta.modify_ts Text,
    700 data_access.access_type_id Integer,
    701 data_level.token_name Text,
    702 data_level.token_namespace Text,
    703 data_access.user_id Integer,
    704 data_access.object_id Integer,
    710 coll_access.access_type_id Integer,
    711 coll_level.token_name Text,
    712 coll_level.token_namespace Text,
    713 coll_access.user_id Integer,
    714 coll_access.object_id Integer,
    720 resc_access.access_type_id Integer,
    721 resc_level.token_name Text,
    722 resc_level.token_namespace Text,
    723 resc_access.user_id Integer,
    724 resc_access.object_id Integer,
    900 member.group_user_id Integer,
    901 grp.user_name Text,
    1000 rule.rule_exec_id Integer,
    1001 rule.rule_name Text,
    1002 rule.rei_file_path Text,
    1003 rule.user_name Text,
    1004 rule.exe_address Text,
    1005 rule.exe_time Text,
    1006 rule.exe_frequency Text,
    1007 rule.priority Text,
    1008 rule.estimated_exe_time Text,
    1009 rule.notification_addr Text,
    1010 rule.last_exe_time Text,
    1011 rule.exe_status Text,
    1012 rule.exe_context Text,
    1013 rule.lock_host Text,
    1014 rule.lock_host_pid Text,
    1015 rule.lock_ts Text,
    1100 token.token_namespace Text,
    1101 token.token_id Integer,
    1102 token.token_name Text,
    1103 token.token_value Text,
    1104 token.token_value2 Text,
    1105 token.token_value3 Text,
    1106 token.r_comment Text,
    1200 audit.object_id Integer,
    1201 audit.user_id Integer,
    1202 audit.action_id Integer,
    1203 audit.r_comment Text,
    1204 audit.create_ts Text,
    1205 audit.modify_ts Text,
    1300 coll_user.user_name Text,
    1301 coll_user.zone_name Text,
    1310 data_user.user_name Text,
    1311 data_user.zone_name Text,
    1320 resc_user.user_name Text,
    1321 resc_user.zone_name Text,
    1600 auth.user_id Integer,
    1601 auth.user_auth_name Text,
    2000 quota.user_id Integer,
    2001 quota.resc_id Integer,
    2002 quota.quota_limit Integer,
    2003 quota.quota_over Integer,
    2004 quota.modify_ts Text,
    2010 quota_usage.user_id Integer,
    2011 quota_usage.resc_id Integer,
    2012 quota_usage.quota_usage Integer,
    2013 quota_usage.modify_ts Text,
    2020 quota_resc.resc_name Text,
    2021 quota_user.user_name Text,
    2022 quota_user.zone_name Text,
    2023 quota_user.user_type_name Text,
    2200 ticket.ticket_id Integer,
    2201 ticket.ticket_string Text,
    2202 ticket.ticket_type Text,
    2203 ticket.user_id Integer,
    2204 ticket.object_id Integer,
    2205 ticket.object_type Text,
    2206 ticket.uses_limit Integer,
    2207 ticket.uses_count Integer,
    2208 ticket.ticket_expiry_ts Text,
    2209 ticket.create_ts Text,
    2210 ticket.modify_ts Text,
    2211 ticket.write_file_count Integer,
    2212 ticket.write_file_limit Integer,
    2213 ticket.write_byte_count Integer,
    2214 ticket.write_byte_limit Integer,
    2220 ticket_host.ticket_id Integer,
    2221 ticket_host.host Text,
    2222 ticket_user.ticket_id Integer,
    2223 ticket_user.user_name Text,
    2224 ticket_group.ticket_id Integer,
    2225 ticket_group.group_name Text,
    2226 ticket_data.data_name Text,
    2227 ticket_data_coll.coll_name Text,
    2228 ticket_coll.coll_name Text,
    2229 ticket_owner.user_name Text,
    2230 ticket_owner.zone_name Text,
}

impl Link {
    /// The condition of the join.
    pub(super) fn on(&self) -> String {
        let ((a, a_column), (b, b_column)) = (self.a, self.b);
        let also = self
            .also
            .map(|also| format!(" AND {also}"))
            .unwrap_or_default();
        format!("{b}.{b_column} = {a}.{a_column}{also}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::testing;
    use super::*;

    #[test]
    fn every_attribute_is_a_column_of_the_schema() {
        let conn = testing::catalog();
        for a in ATTRIBUTES {
            let table = table_of(a.table).unwrap();
            conn.prepare(&format!("SELECT {} FROM {}", a.column, table.name))
                .unwrap();
            assert!(
                irods_protocol::columns::name_of(a.number).is_some(),
                "{}",
                a.number
            );
        }
        assert!(
            ATTRIBUTES
                .windows(2)
                .all(|pair| pair[0].number < pair[1].number)
        );
    }

    #[test]
    fn keys_tell_rows_apart() {
        let conn = testing::catalog();
        for (table, key) in KEYS {
            let is_unique: bool = conn
                .query_row(
                    "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) i WHERE i.\"unique\" = 1
                     AND (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY name)) = ?2)
                     OR (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY name)) = ?2",
                    [*table, &{
                        let mut columns = key.to_vec();
                        columns.sort_unstable();
                        columns.join(",")
                    }],
                    |row| row.get(0),
                )
                .unwrap();
            assert!(is_unique, "{table} {key:?}");
        }
    }

    #[test]
    fn every_link_joins_two_known_tables() {
        let conn = testing::catalog();
        for l in LINKS {
            let (a, b) = (table_of(l.a.0).unwrap(), table_of(l.b.0).unwrap());
            let sql = format!(
                "SELECT 1 FROM {} {} JOIN {} {} ON {}",
                a.name,
                a.alias,
                b.name,
                b.alias,
                l.on()
            );
            conn.prepare(&sql).unwrap();
        }
    }
}
