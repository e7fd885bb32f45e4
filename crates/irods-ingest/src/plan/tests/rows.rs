//! The rows of the table that carry a promise.

use super::*;
use Operation::{NoOp, Put, PutAppend, PutSync, RegisterAsReplicaSync, RegisterSync};
use Verdict::{DataChanged, MetadataChanged, New};

/// Operation, verdict, catalog: decision, with default options.
#[track_caller]
fn row(operation: Operation, verdict: Verdict, catalog: CatalogState, expected: &str) {
    let case = Case::new(operation, verdict, catalog);
    assert_eq!(case.decide().to_string(), expected, "{}", case.describe());
}

#[test]
fn what_is_new_is_made_without_asking() {
    for catalog in [CatalogState::Unknown, CatalogState::Absent] {
        row(RegisterSync, New, catalog.clone(), "create: register");
        row(Put, New, catalog.clone(), "create: put, not over");
        row(PutSync, New, catalog.clone(), "create: put, not over");
        row(PutAppend, New, catalog.clone(), "create: put, not over");
        row(NoOp, New, catalog, "skip (no hook)");
    }
    row(
        RegisterAsReplicaSync,
        New,
        CatalogState::Unknown,
        "look, decide again",
    );
    row(
        RegisterAsReplicaSync,
        New,
        CatalogState::Absent,
        "create: register",
    );
}

#[test]
fn what_vanished_from_the_zone_is_made_again() {
    for operation in [RegisterSync, RegisterAsReplicaSync] {
        for verdict in [DataChanged, MetadataChanged] {
            row(
                operation,
                verdict,
                CatalogState::Unknown,
                "look, decide again",
            );
            row(operation, verdict, CatalogState::Absent, "create: register");
        }
    }
    for operation in [Put, PutSync, PutAppend] {
        row(
            operation,
            DataChanged,
            CatalogState::Absent,
            "create: put, not over",
        );
        row(
            operation,
            MetadataChanged,
            CatalogState::Absent,
            "create: put, not over",
        );
        row(
            operation,
            MetadataChanged,
            CatalogState::Unknown,
            "look, decide again",
        );
    }
}

#[test]
fn a_change_of_data_is_brought_over() {
    let grown = || {
        object(Replica {
            size: SIZE - 1,
            ..replica()
        })
    };
    row(
        RegisterSync,
        DataChanged,
        grown(),
        "modify: update replica 3",
    );
    row(Put, DataChanged, grown(), "skip (exists)");
    // Nobody knows what the object is registered from by now.
    row(
        PutSync,
        DataChanged,
        CatalogState::Unknown,
        "look, decide again",
    );
    row(PutSync, DataChanged, grown(), "modify: put over");
    row(
        PutAppend,
        DataChanged,
        CatalogState::Unknown,
        "look, decide again",
    );
    row(PutAppend, DataChanged, grown(), "modify: append from 99");
    row(PutAppend, DataChanged, object(replica()), "modify: nothing");
    let longer = object(Replica {
        size: SIZE + 1,
        ..replica()
    });
    row(
        PutAppend,
        DataChanged,
        longer,
        "fail (file shorter than object)",
    );
}

#[test]
fn a_change_of_metadata_fires_hooks_only() {
    for operation in [RegisterSync, Put, PutSync, PutAppend] {
        row(
            operation,
            MetadataChanged,
            object(replica()),
            "modify: nothing",
        );
    }
}

#[test]
fn a_file_does_not_replace_a_collection() {
    for operation in Operation::ALL {
        row(
            operation,
            New,
            CatalogState::Collection,
            "fail (file over collection)",
        );
    }
    assert_eq!(
        Refusal::FileOverCollection.describe(b"/src/f", "/z/f"),
        "sync: cannot sync file /src/f to collection /z/f"
    );
}

#[test]
fn registering_touches_the_replica_under_this_path_alone() {
    let other = || Replica {
        number: 0,
        physical_path: "/vault/f".into(),
        hierarchy: "demoResc".into(),
        ..replica()
    };
    row(
        RegisterSync,
        DataChanged,
        object(other()),
        "fail (wrong resource or path)",
    );
    row(
        RegisterSync,
        DataChanged,
        CatalogState::DataObject(vec![replica(), other()]),
        "modify: update replica 3",
    );
    let mut case = Case::new(RegisterSync, DataChanged, object(replica()));
    case.resource = Some("demoResc");
    assert_eq!(
        case.decide(),
        Decision::Refuse(Refusal::WrongResourceOrPath)
    );
    for parent in ["root", "leaf"] {
        case.resource = Some(parent);
        assert_eq!(case.decide().to_string(), "modify: update replica 3");
    }
    case.resource = Some("roo");
    assert_eq!(
        case.decide(),
        Decision::Refuse(Refusal::WrongResourceOrPath)
    );
}

#[test]
fn an_object_registered_by_somebody_else_and_equal_is_left_alone() {
    row(RegisterSync, New, object(replica()), "skip (already equal)");
    let older = object(Replica {
        mtime: TIME - 1,
        ..replica()
    });
    row(RegisterSync, New, older, "modify: update replica 3");
    let stale = object(Replica {
        status: ReplicaStatus::Stale,
        ..replica()
    });
    row(RegisterSync, New, stale, "modify: update replica 3");
}

#[test]
fn a_replica_is_registered_where_there_is_none() {
    let mut case = Case::new(RegisterAsReplicaSync, New, object(replica()));
    assert_eq!(case.decide(), Decision::Refuse(Refusal::NoResource));
    case.resource = Some("other");
    for verdict in [New, DataChanged, MetadataChanged] {
        case.verdict = verdict;
        assert_eq!(case.decide().to_string(), "create: register replica");
    }
    case.resource = Some("leaf");
    case.verdict = DataChanged;
    assert_eq!(case.decide().to_string(), "modify: update replica 3");
    case.catalog = object(Replica {
        physical_path: "/elsewhere".into(),
        ..replica()
    });
    assert_eq!(
        case.decide(),
        Decision::Refuse(Refusal::OtherReplicaOnResource)
    );
}

#[test]
fn a_first_put_sync_uploads_again_unless_equality_is_proven() {
    let uploaded = |mtime, checksum: Option<&str>| {
        object(Replica {
            mtime,
            checksum: checksum.map(str::to_owned),
            ..replica()
        })
    };
    row(
        PutSync,
        New,
        uploaded(LONG_AFTER, None),
        "skip (already equal)",
    );
    row(
        PutSync,
        New,
        uploaded(LONG_AFTER - 1, None),
        "modify: put over",
    );
    row(
        PutSync,
        New,
        uploaded(TIME + 1, Some("sha2:x")),
        "compare checksums, decide again",
    );
    let mut case = Case::new(PutSync, New, uploaded(TIME + 1, Some("sha2:x")));
    case.checksums = Checksums::Agree;
    assert_eq!(case.decide().to_string(), "skip (already equal)");
    case.checksums = Checksums::Differ;
    assert_eq!(case.decide().to_string(), "modify: put over");
    // Compared and different: no time proves the contrary.
    case.catalog = uploaded(LONG_AFTER, Some("sha2:x"));
    assert_eq!(case.decide().to_string(), "modify: put over");
    // What is remembered as changed needs no proof.
    row(
        PutSync,
        DataChanged,
        uploaded(LONG_AFTER, None),
        "modify: put over",
    );
}

#[test]
fn both_times_must_precede_the_object() {
    let mut touched = stat(EntryKind::Regular);
    touched.mtime.seconds = 0;
    assert_eq!(
        sameness(
            &touched,
            &Replica {
                mtime: LONG_AFTER,
                ..replica()
            },
            Checksums::Unknown
        ),
        Sameness::Same
    );
    touched.ctime.seconds = LONG_AFTER;
    assert_eq!(
        sameness(
            &touched,
            &Replica {
                mtime: LONG_AFTER,
                ..replica()
            },
            Checksums::Unknown
        ),
        Sameness::Unproven
    );
}

#[test]
fn an_interrupted_upload_is_done_again() {
    let left = |status| {
        object(Replica {
            status,
            size: 7,
            ..replica()
        })
    };
    for operation in [Put, PutSync, PutAppend] {
        row(
            operation,
            New,
            left(ReplicaStatus::Stale),
            "create: put over",
        );
        row(
            operation,
            DataChanged,
            left(ReplicaStatus::Stale),
            "modify: put over",
        );
        row(
            operation,
            New,
            left(ReplicaStatus::Intermediate),
            "fail (locked or being written)",
        );
        row(
            operation,
            New,
            left(ReplicaStatus::Locked),
            "fail (locked or being written)",
        );
        let mut again = Case::new(operation, New, left(ReplicaStatus::Intermediate));
        again.options.redelivered = true;
        assert_eq!(again.decide().to_string(), "create: put over");
    }
    assert!(Refusal::Busy.is_transient());
}

#[test]
fn a_redelivered_entry_that_was_done_is_finished_as_create() {
    for operation in [RegisterSync, Put, PutSync, PutAppend] {
        let mut case = Case::new(operation, New, CatalogState::Unknown);
        case.options.redelivered = true;
        assert_eq!(case.decide(), Decision::Look);
        case.catalog = object(replica());
        if operation.uploads() {
            assert_eq!(
                case.decide(),
                Decision::CompareChecksums,
                "{}",
                case.describe()
            );
            case.checksums = Checksums::Agree;
        }
        assert_eq!(
            case.decide().to_string(),
            "create: nothing",
            "{}",
            case.describe()
        );
    }
    for (operation, expected) in [
        (Put, "skip (exists)"),
        (PutSync, "modify: put over"),
        (PutAppend, "fail (changed in place)"),
    ] {
        let mut case = Case::new(operation, New, object(replica()));
        case.options.redelivered = true;
        case.checksums = Checksums::Differ;
        assert_eq!(case.decide().to_string(), expected);
    }
    let directory = |options| {
        decide_directory(&DirectoryFacts {
            operation: RegisterSync,
            verdict: New,
            catalog: &CatalogState::Collection,
            options,
        })
    };
    let redelivered = Options {
        redelivered: true,
        ..Options::default()
    };
    assert_eq!(directory(redelivered).to_string(), "create: nothing");
    assert_eq!(directory(Options::default()).to_string(), "modify: nothing");
}

#[test]
fn nothing_is_uploaded_over_its_own_source() {
    for (operation, expected) in [
        (Put, "skip (exists)"),
        (PutSync, "fail (registered from a file of this source)"),
        (PutAppend, "fail (registered from a file of this source)"),
    ] {
        let shorter = Replica {
            size: SIZE - 1,
            ..replica()
        };
        let mut case = Case::new(operation, New, object(shorter));
        case.own_source = true;
        assert_eq!(case.decide().to_string(), expected);
    }
    let stale = Replica {
        status: ReplicaStatus::Stale,
        ..replica()
    };
    for operation in [Put, PutSync, PutAppend] {
        let mut case = Case::new(operation, New, object(stale.clone()));
        case.own_source = true;
        assert_eq!(
            case.decide(),
            Decision::Refuse(Refusal::OwnSource),
            "{}",
            case.describe()
        );
    }
}

#[test]
fn a_redelivered_entry_that_existed_before_is_modified_once_more() {
    for (operation, expected) in [
        (RegisterSync, "modify: update replica 3"),
        (Put, "skip (exists)"),
        (PutSync, "modify: put over"),
        (PutAppend, "modify: nothing"),
    ] {
        let mut case = Case::new(operation, New, object(replica()));
        case.options.redelivered = true;
        case.options.existed = true;
        case.checksums = Checksums::Agree;
        assert_eq!(case.decide().to_string(), expected);
    }
}

#[test]
fn ignore_cache_treats_everything_as_changed() {
    for verdict in Verdict::ALL {
        for (operation, expected) in [
            (RegisterSync, "modify: update replica 3"),
            (Put, "skip (exists)"),
            (PutSync, "modify: put over"),
            (PutAppend, "modify: nothing"),
        ] {
            let equal = object(Replica {
                mtime: LONG_AFTER,
                ..replica()
            });
            let mut case = Case::new(operation, verdict, equal);
            case.options.ignore_cache = true;
            assert_eq!(case.decide().to_string(), expected, "{}", case.describe());
        }
    }
}

#[test]
fn initial_ingest_asks_nothing_until_the_zone_objects() {
    for operation in [RegisterSync, RegisterAsReplicaSync] {
        let mut case = Case::new(operation, DataChanged, CatalogState::Unknown);
        case.options = Options {
            initial_ingest: true,
            hooks: true,
            ..Options::default()
        };
        assert_eq!(case.decide().to_string(), "create: register");
        case.catalog = object(replica());
        case.resource = Some(RESOURCE);
        assert_eq!(case.decide().to_string(), "modify: update replica 3");
    }
}

#[test]
fn what_has_no_content_is_registered_but_not_uploaded() {
    for kind in EntryKind::ALL {
        if kind == EntryKind::Directory {
            continue;
        }
        let content = matches!(kind, EntryKind::Regular | EntryKind::Symlink);
        for operation in [RegisterSync, Put, PutSync, PutAppend] {
            let mut case = Case::new(operation, New, CatalogState::Unknown);
            case.kind = kind;
            let refused = case.decide() == Decision::Refuse(Refusal::NotUploadable(kind));
            assert_eq!(
                refused,
                operation.uploads() && !content,
                "{}",
                case.describe()
            );
        }
    }
    assert_eq!(
        Refusal::NotUploadable(EntryKind::Fifo).describe(b"/a/\xff", "/z/a"),
        "cannot upload /a/\u{fffd} to /z/a: a pipe has no content"
    );
}

#[test]
fn directories() {
    let decide = |operation, verdict, catalog, hooks| {
        let options = Options {
            hooks,
            ..Options::default()
        };
        decide_directory(&DirectoryFacts {
            operation,
            verdict,
            catalog,
            options,
        })
        .to_string()
    };
    let (unknown, absent, there) = (
        &CatalogState::Unknown,
        &CatalogState::Absent,
        &CatalogState::Collection,
    );
    for verdict in [New, DataChanged, MetadataChanged] {
        assert_eq!(
            decide(PutSync, verdict, unknown, false),
            "create: create collection"
        );
        assert_eq!(
            decide(PutSync, verdict, unknown, true),
            "look, decide again"
        );
        assert_eq!(
            decide(PutSync, verdict, absent, true),
            "create: create collection"
        );
        assert_eq!(decide(PutSync, verdict, there, true), "modify: nothing");
        assert_eq!(decide(NoOp, verdict, unknown, false), "skip (no hook)");
        assert_eq!(decide(NoOp, verdict, absent, true), "create: nothing");
        assert_eq!(decide(NoOp, verdict, there, true), "modify: nothing");
    }
}

#[test]
fn replica_status_numbers() {
    assert_eq!(ReplicaStatus::from_number(0), ReplicaStatus::Stale);
    assert_eq!(ReplicaStatus::from_number(1), ReplicaStatus::Good);
    assert_eq!(ReplicaStatus::from_number(2), ReplicaStatus::Intermediate);
    for locked in [3, 4, 5, -1] {
        assert_eq!(ReplicaStatus::from_number(locked), ReplicaStatus::Locked);
    }
}

#[test]
fn with_hooks_the_catalog_is_asked_first() {
    for operation in Operation::ALL {
        for verdict in [New, DataChanged, MetadataChanged] {
            let mut case = Case::new(operation, verdict, CatalogState::Unknown);
            case.options.hooks = true;
            assert_eq!(case.decide(), Decision::Look, "{}", case.describe());
        }
    }
    let mut case = Case::new(NoOp, New, object(replica()));
    case.options.hooks = true;
    assert_eq!(case.decide().to_string(), "modify: nothing");
    case.catalog = CatalogState::Absent;
    assert_eq!(case.decide().to_string(), "create: nothing");
}

#[test]
fn of_several_replicas_under_this_path_the_last_is_updated() {
    let first = Replica {
        number: 1,
        ..replica()
    };
    let both = || CatalogState::DataObject(vec![first.clone(), replica()]);
    row(
        RegisterSync,
        DataChanged,
        both(),
        "modify: update replica 3",
    );
    let mut case = Case::new(RegisterAsReplicaSync, DataChanged, both());
    case.resource = Some(RESOURCE);
    assert_eq!(case.decide().to_string(), "modify: update replica 3");
    case.verdict = MetadataChanged;
    assert_eq!(case.decide().to_string(), "modify: nothing");
}

#[test]
fn redelivery_does_not_finish_what_is_not_equal_or_was_there_before() {
    let older = Replica {
        mtime: TIME - 1,
        ..replica()
    };
    let mut case = Case::new(RegisterSync, New, object(older));
    case.options.redelivered = true;
    assert_eq!(case.decide().to_string(), "modify: update replica 3");
    // It was remembered, so the last attempt did not make it: PUT leaves it alone.
    let mut case = Case::new(Put, DataChanged, object(replica()));
    case.options.redelivered = true;
    assert_eq!(case.decide().to_string(), "skip (exists)");
}
