-- The catalog of an embedded zone, schema version 1.
--
-- Tables and columns carry the names of the real catalog: administrators register SQL of their own
-- (specific queries) that uses them, and clients ship such SQL. Times are text, zero-padded seconds.
-- A row of r_data_main is one replica; the rows of one data_id agree in everything but the replica's own.

CREATE TABLE catalog_sequence (next_id INTEGER NOT NULL) STRICT;
INSERT INTO catalog_sequence VALUES (10000);

CREATE TABLE catalog_info (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE r_zone_main (
    zone_id INTEGER PRIMARY KEY,
    zone_name TEXT NOT NULL UNIQUE,
    zone_type_name TEXT NOT NULL,
    zone_conn_string TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL
) STRICT;

CREATE TABLE r_user_main (
    user_id INTEGER PRIMARY KEY,
    user_name TEXT NOT NULL,
    user_type_name TEXT NOT NULL,
    zone_name TEXT NOT NULL,
    user_info TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    UNIQUE (user_name, zone_name)
) STRICT;

CREATE TABLE r_user_group (
    group_user_id INTEGER NOT NULL REFERENCES r_user_main (user_id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES r_user_main (user_id) ON DELETE CASCADE,
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    PRIMARY KEY (user_id, group_user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_user_group_members ON r_user_group (group_user_id);

CREATE TABLE r_user_password (
    user_id INTEGER NOT NULL REFERENCES r_user_main (user_id) ON DELETE CASCADE,
    rcat_password TEXT NOT NULL,
    -- '' = does not expire.
    pass_expiry_ts TEXT NOT NULL DEFAULT '',
    -- 1 = gone after the first login with it.
    single_use INTEGER NOT NULL DEFAULT 0,
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL
) STRICT;
CREATE INDEX idx_user_password_user ON r_user_password (user_id);

CREATE TABLE r_user_auth (
    user_id INTEGER NOT NULL REFERENCES r_user_main (user_id) ON DELETE CASCADE,
    user_auth_name TEXT NOT NULL,
    create_ts TEXT NOT NULL,
    PRIMARY KEY (user_id, user_auth_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE r_tokn_main (
    token_namespace TEXT NOT NULL,
    token_id INTEGER NOT NULL,
    token_name TEXT NOT NULL,
    token_value TEXT NOT NULL DEFAULT '',
    token_value2 TEXT NOT NULL DEFAULT '',
    token_value3 TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    PRIMARY KEY (token_namespace, token_id),
    UNIQUE (token_namespace, token_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE r_resc_main (
    resc_id INTEGER PRIMARY KEY,
    resc_name TEXT NOT NULL UNIQUE,
    zone_name TEXT NOT NULL,
    resc_type_name TEXT NOT NULL,
    resc_class_name TEXT NOT NULL DEFAULT 'cache',
    resc_net TEXT NOT NULL,
    resc_def_path TEXT NOT NULL,
    free_space TEXT NOT NULL DEFAULT '',
    free_space_ts TEXT NOT NULL DEFAULT '',
    resc_info TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    resc_status TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    modify_ts_millis TEXT NOT NULL DEFAULT '',
    resc_children TEXT NOT NULL DEFAULT '',
    resc_context TEXT NOT NULL DEFAULT '',
    -- Id of the parent as text, '' for a root.
    resc_parent TEXT NOT NULL DEFAULT '',
    resc_parent_context TEXT NOT NULL DEFAULT '',
    resc_objcount INTEGER NOT NULL DEFAULT 0,
    -- Names from the root to this resource, joined by ';'; kept when parents change.
    resc_hier TEXT NOT NULL
) STRICT;
CREATE INDEX idx_resc_parent ON r_resc_main (resc_parent);

CREATE TABLE r_coll_main (
    coll_id INTEGER PRIMARY KEY,
    parent_coll_name TEXT NOT NULL,
    coll_name TEXT NOT NULL UNIQUE,
    coll_owner_name TEXT NOT NULL,
    coll_owner_zone TEXT NOT NULL,
    coll_map_id INTEGER NOT NULL DEFAULT 0,
    -- NULL = never set, '0' = switched off, '1' = on.
    coll_inheritance TEXT,
    coll_type TEXT NOT NULL DEFAULT '',
    coll_info1 TEXT NOT NULL DEFAULT '',
    coll_info2 TEXT NOT NULL DEFAULT '',
    coll_expiry_ts TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL
) STRICT;
CREATE INDEX idx_coll_parent ON r_coll_main (parent_coll_name);

CREATE TABLE r_data_main (
    data_id INTEGER NOT NULL,
    data_repl_num INTEGER NOT NULL,
    coll_id INTEGER NOT NULL REFERENCES r_coll_main (coll_id),
    data_name TEXT NOT NULL,
    data_version TEXT NOT NULL DEFAULT '',
    data_type_name TEXT NOT NULL DEFAULT 'generic',
    data_size INTEGER NOT NULL,
    data_path TEXT NOT NULL,
    data_owner_name TEXT NOT NULL,
    data_owner_zone TEXT NOT NULL,
    -- 0 stale, 1 good, 2 intermediate, 3 read-locked, 4 write-locked.
    data_is_dirty INTEGER NOT NULL,
    -- While 2 or 4: what data_is_dirty was before, for restoring it.
    data_status TEXT NOT NULL DEFAULT '',
    data_checksum TEXT NOT NULL DEFAULT '',
    data_expiry_ts TEXT NOT NULL DEFAULT '00000000000',
    data_map_id INTEGER NOT NULL DEFAULT 0,
    data_mode TEXT NOT NULL DEFAULT '0',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    access_ts TEXT NOT NULL,
    resc_id INTEGER NOT NULL REFERENCES r_resc_main (resc_id),
    PRIMARY KEY (data_id, data_repl_num)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX idx_data_name ON r_data_main (coll_id, data_name, data_repl_num);
CREATE INDEX idx_data_path ON r_data_main (data_path);
CREATE INDEX idx_data_resc ON r_data_main (resc_id);
CREATE INDEX idx_data_open ON r_data_main (data_is_dirty) WHERE data_is_dirty >= 2;

CREATE TABLE r_objt_access (
    object_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL REFERENCES r_user_main (user_id) ON DELETE CASCADE,
    access_type_id INTEGER NOT NULL,
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    PRIMARY KEY (object_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE r_meta_main (
    meta_id INTEGER PRIMARY KEY,
    meta_namespace TEXT NOT NULL DEFAULT '',
    meta_attr_name TEXT NOT NULL,
    meta_attr_value TEXT NOT NULL,
    meta_attr_unit TEXT NOT NULL DEFAULT '',
    r_comment TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    UNIQUE (meta_attr_name, meta_attr_value, meta_attr_unit)
) STRICT;
CREATE INDEX idx_meta_value ON r_meta_main (meta_attr_value);

CREATE TABLE r_objt_metamap (
    object_id INTEGER NOT NULL,
    meta_id INTEGER NOT NULL REFERENCES r_meta_main (meta_id),
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL,
    PRIMARY KEY (object_id, meta_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_metamap_meta ON r_objt_metamap (meta_id);

CREATE TABLE r_specific_query (
    alias TEXT NOT NULL UNIQUE,
    sqlstr TEXT NOT NULL,
    create_ts TEXT NOT NULL
) STRICT;

CREATE TABLE r_ticket_main (
    ticket_id INTEGER PRIMARY KEY,
    ticket_string TEXT NOT NULL UNIQUE,
    ticket_type TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    object_type TEXT NOT NULL,
    uses_limit INTEGER NOT NULL DEFAULT 0,
    uses_count INTEGER NOT NULL DEFAULT 0,
    write_file_count INTEGER NOT NULL DEFAULT 0,
    write_file_limit INTEGER NOT NULL DEFAULT 10,
    write_byte_count INTEGER NOT NULL DEFAULT 0,
    write_byte_limit INTEGER NOT NULL DEFAULT 0,
    ticket_expiry_ts TEXT NOT NULL DEFAULT '',
    create_ts TEXT NOT NULL,
    modify_ts TEXT NOT NULL
) STRICT;
CREATE TABLE r_ticket_allowed_hosts (ticket_id INTEGER NOT NULL, host TEXT NOT NULL) STRICT;
CREATE TABLE r_ticket_allowed_users (ticket_id INTEGER NOT NULL, user_name TEXT NOT NULL) STRICT;
CREATE TABLE r_ticket_allowed_groups (ticket_id INTEGER NOT NULL, group_name TEXT NOT NULL) STRICT;
CREATE TABLE r_quota_main (
    user_id INTEGER NOT NULL, resc_id INTEGER NOT NULL, quota_limit INTEGER NOT NULL,
    quota_over INTEGER NOT NULL, modify_ts TEXT NOT NULL
) STRICT;
CREATE TABLE r_quota_usage (
    user_id INTEGER NOT NULL, resc_id INTEGER NOT NULL, quota_usage INTEGER NOT NULL, modify_ts TEXT NOT NULL
) STRICT;
-- Kept so that queries over them answer "no rows" and not "unknown table".
CREATE TABLE r_objt_audit (
    object_id INTEGER NOT NULL, user_id INTEGER NOT NULL, action_id INTEGER NOT NULL,
    r_comment TEXT NOT NULL, create_ts TEXT NOT NULL, modify_ts TEXT NOT NULL
) STRICT;
CREATE TABLE r_rule_exec (
    rule_exec_id INTEGER PRIMARY KEY, rule_name TEXT NOT NULL, rei_file_path TEXT NOT NULL, user_name TEXT NOT NULL,
    exe_address TEXT NOT NULL, exe_time TEXT NOT NULL, exe_frequency TEXT NOT NULL, priority TEXT NOT NULL,
    estimated_exe_time TEXT NOT NULL, notification_addr TEXT NOT NULL, last_exe_time TEXT NOT NULL,
    exe_status TEXT NOT NULL, exe_context TEXT NOT NULL, lock_host TEXT NOT NULL, lock_host_pid TEXT NOT NULL,
    lock_ts TEXT NOT NULL
) STRICT;
