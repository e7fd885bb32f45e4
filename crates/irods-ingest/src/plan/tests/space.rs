//! Every combination of inputs: what must hold whatever the row.

use super::*;

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
    (0..32)
        .map(|bits| Options {
            ignore_cache: bits & 1 != 0,
            initial_ingest: bits & 2 != 0,
            hooks: bits & 4 != 0,
            redelivered: bits & 8 != 0,
            existed: bits & 16 != 0,
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
        ok(
            "what existed before the first attempt was not made by any, if it has a good replica",
            !case.options.existed
                || !case.good()
                || case.operation == Operation::RegisterAsReplicaSync
                || !matches!(
                    decision,
                    Decision::Act {
                        event: Event::Create,
                        ..
                    }
                ),
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
