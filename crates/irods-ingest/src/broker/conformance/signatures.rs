//! The cache of signatures.

use super::*;

fn append(key: &[u8], bytes: &[u8]) -> Append {
    Append {
        key: key.to_vec(),
        bytes: bytes.to_vec(),
    }
}

fn compaction(read: &[Segment], bytes: &[u8]) -> Compaction {
    Compaction {
        key: b"k".to_vec(),
        replaces: read.iter().map(|segment| segment.id).collect(),
        bytes: bytes.to_vec(),
    }
}

impl Bench {
    /// Completes a task of a job of its own that reports this.
    async fn report(&self, signatures: Vec<Append>, compactions: Vec<Compaction>) {
        self.create(job("reporter")).await;
        let leased = self.one().await;
        let completion = Completion {
            signatures,
            compactions,
            ..Completion::default()
        };
        self.broker
            .complete(leased.lease, completion)
            .await
            .unwrap();
    }

    async fn stored(&self, key: &[u8]) -> Vec<Vec<u8>> {
        self.broker
            .signatures(key)
            .await
            .unwrap()
            .into_iter()
            .map(|segment| segment.bytes)
            .collect()
    }
}

pub(super) async fn segments_are_appended_in_order(bench: Bench) {
    bench
        .report(
            vec![
                append(b"k", b"1"),
                append(b"other", b"x"),
                append(b"k", b"2"),
            ],
            vec![],
        )
        .await;
    bench
        .report(vec![append(b"k", b"3"), append(b"k", b"")], vec![])
        .await;
    assert_eq!(bench.stored(b"k").await, [b"1", b"2", b"3"]);
    assert_eq!(bench.stored(b"").await, [b""; 0]);
}

/// What is forgotten with a batch counts before anything of the batch is done, and stays forgotten if nothing is.
pub(super) async fn a_batch_brings_signatures_of_its_own(bench: Bench) {
    bench.report(vec![append(b"k", b"1")], vec![]).await;
    let id = bench.create(job("a")).await;
    let scan = bench.one().await;
    let spawn = |children, bytes: &[u8]| {
        let signatures = vec![append(b"k", bytes), append(b"k", b"")];
        bench
            .broker
            .spawn(scan.lease, children, vec![1], signatures)
    };
    assert_eq!(spawn(vec![files("x")], b"2").await, Ok(Spawned::Queued));
    assert_eq!(bench.stored(b"k").await, [b"1", b"2"]);
    let child = bench.one().await;
    let done = Completion {
        signatures: vec![append(b"k", b"3")],
        ..Completion::default()
    };
    bench.broker.complete(child.lease, done).await.unwrap();
    assert_eq!(bench.stored(b"k").await, [b"1", b"2", b"3"]);
    bench.broker.stop(id, false).await.unwrap();
    assert_eq!(spawn(vec![files("y")], b"4").await, Ok(Spawned::Stopping));
    bench.broker.stop(id, true).await.unwrap();
    assert!(spawn(vec![], b"5").await.unwrap_err().is_stale());
    assert_eq!(bench.stored(b"k").await, [b"1", b"2", b"3"]);
}

pub(super) async fn a_compaction_takes_the_place_of_what_it_read(bench: Bench) {
    bench
        .report(vec![append(b"k", b"1"), append(b"k", b"2")], vec![])
        .await;
    let read = bench.broker.signatures(b"k").await.unwrap();
    bench.report(vec![append(b"k", b"3")], vec![]).await;
    bench.report(vec![], vec![compaction(&read, b"12")]).await;
    assert_eq!(bench.stored(b"k").await, [&b"12"[..], b"3"]);
    let read = bench.broker.signatures(b"k").await.unwrap();
    bench
        .report(vec![append(b"k", b"4")], vec![compaction(&read, b"123")])
        .await;
    assert_eq!(bench.stored(b"k").await, [&b"123"[..], b"4"]);
    let read = bench.broker.signatures(b"k").await.unwrap();
    bench.report(vec![], vec![compaction(&read, b"")]).await;
    assert_eq!(bench.stored(b"k").await, [b""; 0]);
}

pub(super) async fn a_compaction_of_what_is_gone_is_dropped(bench: Bench) {
    bench
        .report(vec![append(b"k", b"1"), append(b"k", b"2")], vec![])
        .await;
    let read = bench.broker.signatures(b"k").await.unwrap();
    bench.report(vec![], vec![compaction(&read, b"12")]).await;
    bench
        .report(vec![], vec![compaction(&read, b"other 12")])
        .await;
    assert_eq!(bench.stored(b"k").await, [b"12"]);
    // Nor does it bring back what was cleared.
    let read = bench.broker.signatures(b"k").await.unwrap();
    assert_eq!(bench.broker.clear_signatures(b"k").await, Ok(1));
    bench
        .report(vec![append(b"k", b"3")], vec![compaction(&read, b"12")])
        .await;
    assert_eq!(bench.stored(b"k").await, [b"3"]);
}

pub(super) async fn clearing_is_by_prefix(bench: Bench) {
    let keys: [&[u8]; 5] = [b"a", b"a\xff", b"a\xff\xff", b"ab", b"b"];
    bench
        .report(keys.iter().map(|key| append(key, b"1")).collect(), vec![])
        .await;
    assert_eq!(bench.broker.clear_signatures(b"a\xff").await, Ok(2));
    assert_eq!(bench.stored(b"a\xff").await, [b""; 0]);
    assert_eq!(bench.stored(b"ab").await, [b"1"]);
    assert_eq!(bench.broker.clear_signatures(b"").await, Ok(3));
    assert_eq!(bench.stored(b"b").await, [b""; 0]);
}

pub(super) async fn a_stale_completion_stores_nothing(bench: Bench) {
    bench.create(job("a")).await;
    let lost = bench.one().await;
    bench.pass(LEASE);
    bench.one().await;
    let completion = Completion {
        signatures: vec![append(b"k", b"1")],
        ..Completion::default()
    };
    assert!(
        bench
            .broker
            .complete(lost.lease, completion)
            .await
            .unwrap_err()
            .is_stale()
    );
    assert_eq!(bench.stored(b"k").await, [b""; 0]);
}
