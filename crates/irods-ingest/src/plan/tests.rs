//! The decision over its whole input space, and its rows one by one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::source::Timestamp;

const PATH: &str = "/src/f";
const RESOURCE: &str = "leaf";
const SIZE: u64 = 100;
const TIME: i64 = 1_000_000;
const LONG_AFTER: i64 = TIME + CLOCK_MARGIN_SECONDS + 1;

fn stat(kind: EntryKind) -> Stat {
    let time = Timestamp {
        seconds: TIME,
        nanos: 999,
    };
    Stat {
        kind,
        size: SIZE,
        mtime: time,
        ctime: time,
        mode: 0,
        dev: 1,
    }
}

/// Registered in place, equal to the file.
fn replica() -> Replica {
    Replica {
        number: 3,
        status: ReplicaStatus::Good,
        size: SIZE,
        mtime: TIME,
        checksum: None,
        hierarchy: "root;leaf".into(),
        physical_path: PATH.into(),
    }
}

fn object(replica: Replica) -> CatalogState {
    CatalogState::DataObject(vec![replica])
}

#[derive(Clone)]
struct Case {
    operation: Operation,
    kind: EntryKind,
    verdict: Verdict,
    catalog: CatalogState,
    checksums: Checksums,
    resource: Option<&'static str>,
    options: Options,
}

impl Case {
    fn new(operation: Operation, verdict: Verdict, catalog: CatalogState) -> Self {
        Self {
            operation,
            kind: EntryKind::Regular,
            verdict,
            catalog,
            checksums: Checksums::Unknown,
            resource: None,
            options: Options::default(),
        }
    }

    fn decide(&self) -> Decision {
        decide_file(&FileFacts {
            operation: self.operation,
            stat: &stat(self.kind),
            verdict: self.verdict,
            catalog: &self.catalog,
            checksums: self.checksums,
            physical_path: PATH,
            resource: self.resource,
            options: self.options,
        })
    }

    fn describe(&self) -> String {
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} -> {}",
            self.operation,
            self.kind,
            self.verdict,
            self.catalog,
            self.checksums,
            self.resource,
            self.options,
            self.decide()
        )
    }

    fn good(&self) -> bool {
        match &self.catalog {
            CatalogState::DataObject(all) => all.iter().any(|r| r.status == ReplicaStatus::Good),
            _ => false,
        }
    }

    fn has(&self, status: ReplicaStatus) -> bool {
        match &self.catalog {
            CatalogState::DataObject(all) => all.iter().any(|r| r.status == status),
            _ => false,
        }
    }
}

const STATUSES: [ReplicaStatus; 4] = [
    ReplicaStatus::Stale,
    ReplicaStatus::Good,
    ReplicaStatus::Intermediate,
    ReplicaStatus::Locked,
];

fn catalogs() -> Vec<CatalogState> {
    let mut all = vec![
        CatalogState::Unknown,
        CatalogState::Absent,
        CatalogState::Collection,
    ];
    for size in [SIZE - 1, SIZE, SIZE + 1] {
        for mtime in [TIME, TIME + 1, LONG_AFTER] {
            for checksum in [None, Some("sha2:x".to_owned())] {
                for status in STATUSES {
                    for physical_path in [PATH, "/other"] {
                        for hierarchy in ["root;leaf", "elsewhere"] {
                            all.push(object(Replica {
                                number: 3,
                                status,
                                size,
                                mtime,
                                checksum: checksum.clone(),
                                hierarchy: hierarchy.into(),
                                physical_path: physical_path.into(),
                            }));
                        }
                    }
                }
            }
        }
    }
    // A second replica, of each status, beside a good one.
    for status in STATUSES {
        let other = Replica {
            number: 4,
            status,
            hierarchy: "elsewhere".into(),
            physical_path: "/vault/f".into(),
            ..replica()
        };
        all.push(CatalogState::DataObject(vec![replica(), other.clone()]));
        all.push(CatalogState::DataObject(vec![other, replica()]));
    }
    all
}

fn all_options() -> Vec<Options> {
    (0..16)
        .map(|bits| Options {
            ignore_cache: bits & 1 != 0,
            initial_ingest: bits & 2 != 0,
            hooks: bits & 4 != 0,
            redelivered: bits & 8 != 0,
        })
        .collect()
}

fn for_each_case(mut check: impl FnMut(&Case)) {
    for catalog in catalogs() {
        for operation in Operation::ALL {
            let mut case = Case::new(operation, Verdict::New, catalog.clone());
            for kind in [EntryKind::Regular, EntryKind::Symlink, EntryKind::Fifo] {
                for verdict in Verdict::ALL {
                    for checksums in [Checksums::Unknown, Checksums::Agree, Checksums::Differ] {
                        for resource in [None, Some(RESOURCE)] {
                            for options in all_options() {
                                case.kind = kind;
                                case.verdict = verdict;
                                case.checksums = checksums;
                                case.resource = resource;
                                case.options = options;
                                check(&case);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn invariants_over_the_whole_input_space() {
    let mut cases = 0u64;
    for_each_case(|case| {
        cases += 1;
        let decision = case.decide();
        let effect = match decision {
            Decision::Act { effect, .. } => Some(effect),
            _ => None,
        };
        let writes = effect.is_some_and(|effect| effect != Effect::Nothing);
        let known = case.catalog != CatalogState::Unknown;
        let ok = |what: &str, holds: bool| assert!(holds, "{what}: {}", case.describe());

        ok(
            "unchanged is skipped, whatever else is known, and only ignore_cache says otherwise",
            (case.verdict == Verdict::Unchanged && !case.options.ignore_cache)
                == (decision == Decision::Skip(Reason::Unchanged)),
        );
        ok(
            "NO_OP writes nothing",
            case.operation != Operation::NoOp || !writes,
        );
        ok(
            "NO_OP without hooks asks nothing",
            case.operation != Operation::NoOp
                || case.options.hooks
                || !matches!(decision, Decision::Look | Decision::CompareChecksums),
        );
        ok(
            "PUT never writes over a good replica, and over an unknown object neither",
            case.operation != Operation::Put
                || effect.is_none_or(|effect| match effect {
                    Effect::Nothing | Effect::PutNew => true,
                    Effect::PutOver => known && !case.good(),
                    _ => false,
                }),
        );
        ok(
            "a name that is taken is not created by an effect that needs it free",
            !matches!(
                case.catalog,
                CatalogState::DataObject(_) | CatalogState::Collection
            ) || !matches!(
                effect,
                Some(Effect::Register | Effect::PutNew | Effect::CreateCollection)
            ),
        );
        ok(
            "a name that is free is not modified",
            case.catalog != CatalogState::Absent
                || !matches!(
                    decision,
                    Decision::Act {
                        event: Event::Modify,
                        ..
                    }
                ),
        );
        ok(
            "a collection is never touched by a file",
            case.catalog != CatalogState::Collection || effect.is_none(),
        );
        ok(
            "a locked object is not uploaded to",
            !case.has(ReplicaStatus::Locked)
                || !matches!(effect, Some(Effect::PutOver | Effect::Append { .. })),
        );
        ok(
            "an object that may have a live writer is replaced on redelivery only",
            !case.has(ReplicaStatus::Intermediate)
                || case.options.redelivered
                || !matches!(effect, Some(Effect::PutOver | Effect::Append { .. })),
        );
        ok(
            "registering never uploads and uploading never registers",
            match effect {
                Some(Effect::Register | Effect::RegisterReplica | Effect::UpdateReplica { .. }) => {
                    case.operation.registers()
                }
                Some(Effect::PutNew | Effect::PutOver | Effect::Append { .. }) => {
                    case.operation.uploads()
                }
                _ => true,
            },
        );
        ok(
            "only a replica with the right path and resource is updated",
            match (effect, &case.catalog) {
                (Some(Effect::UpdateReplica { number }), CatalogState::DataObject(all)) => {
                    all.iter().any(|r| {
                        r.number == number
                            && r.physical_path == PATH
                            && case.resource.is_none_or(|resource| r.is_under(resource))
                    })
                }
                (Some(Effect::UpdateReplica { .. }), _) => false,
                _ => true,
            },
        );
        ok(
            "looking ends: with a known catalog nothing is looked up again",
            !known || decision != Decision::Look,
        );
        ok(
            "comparing ends: with compared checksums nothing is compared again",
            case.checksums == Checksums::Unknown || decision != Decision::CompareChecksums,
        );
        ok(
            "a metadata change writes nothing to an object that has what the operation makes",
            case.verdict != Verdict::MetadataChanged
                || case.options.ignore_cache
                || !case.good()
                || matches!(
                    effect,
                    None | Some(Effect::Nothing | Effect::RegisterReplica)
                ),
        );
        ok(
            "with hooks it is known what the event is before anything is done",
            !case.options.hooks
                || known
                || effect.is_none()
                || (case.options.initial_ingest && !case.options.redelivered),
        );
        ok(
            "what has no content is never uploaded",
            case.kind != EntryKind::Fifo || !case.operation.uploads() || effect.is_none(),
        );
        ok(
            "sizes that differ are never taken for equal",
            decision != Decision::Skip(Reason::AlreadyEqual)
                || matches!(&case.catalog, CatalogState::DataObject(all)
                    if all.iter().any(|r| r.size == SIZE && r.status == ReplicaStatus::Good)),
        );
        ok(
            "ignore_cache is not answered by `already equal`, except on redelivery",
            !case.options.ignore_cache
                || case.options.redelivered
                || decision != Decision::Skip(Reason::AlreadyEqual),
        );
        if let Some(Effect::Append { from }) = effect {
            ok("append begins where the object ends", from == SIZE - 1);
        }
    });
    assert!(cases > 500_000, "{cases}");
}

#[test]
fn directories_over_the_whole_input_space() {
    for operation in Operation::ALL {
        for verdict in Verdict::ALL {
            for catalog in catalogs() {
                for options in all_options() {
                    let decision = decide_directory(&DirectoryFacts {
                        operation,
                        verdict,
                        catalog: &catalog,
                        options,
                    });
                    let context =
                        format!("{operation} {verdict:?} {catalog:?} {options:?} -> {decision}");
                    let effect = match decision {
                        Decision::Act { effect, .. } => Some(effect),
                        _ => None,
                    };
                    let unchanged = verdict == Verdict::Unchanged && !options.ignore_cache;
                    assert_eq!(
                        unchanged,
                        decision == Decision::Skip(Reason::Unchanged),
                        "{context}"
                    );
                    assert!(
                        matches!(
                            effect,
                            None | Some(Effect::Nothing | Effect::CreateCollection)
                        ),
                        "{context}"
                    );
                    if operation == Operation::NoOp {
                        assert_ne!(effect, Some(Effect::CreateCollection), "{context}");
                    }
                    if matches!(
                        catalog,
                        CatalogState::Collection | CatalogState::DataObject(_)
                    ) {
                        assert_ne!(effect, Some(Effect::CreateCollection), "{context}");
                        assert_ne!(decision, Decision::Look, "{context}");
                    }
                    if matches!(catalog, CatalogState::DataObject(_)) && !unchanged {
                        assert_eq!(
                            decision,
                            Decision::Refuse(Refusal::DirectoryOverDataObject),
                            "{context}"
                        );
                    }
                    if options.hooks && catalog == CatalogState::Unknown && !unchanged {
                        assert_eq!(decision, Decision::Look, "{context}");
                    }
                }
            }
        }
    }
}

/// Operation, verdict, catalog: decision, with default options.
#[track_caller]
fn row(operation: Operation, verdict: Verdict, catalog: CatalogState, expected: &str) {
    let case = Case::new(operation, verdict, catalog);
    assert_eq!(case.decide().to_string(), expected, "{}", case.describe());
}

use Operation::{NoOp, Put, PutAppend, PutSync, RegisterAsReplicaSync, RegisterSync};
use Verdict::{DataChanged, MetadataChanged, New};

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
    row(
        PutSync,
        DataChanged,
        CatalogState::Unknown,
        "modify: put over",
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
