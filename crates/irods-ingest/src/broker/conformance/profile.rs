//! How long a task waited, and the profile that workers keep of a job.

use super::*;

pub(super) async fn a_lease_says_how_long_its_task_was_ready(bench: Bench) {
    let id = bench
        .with_children(job("a"), vec![files("x"), delayed("y", 10)])
        .await;
    let waited = |leased: &Leased| (leased.pass, leased.waited.as_secs());
    bench.pass(Duration::from_secs(7));
    let x = bench.one().await;
    assert_eq!(waited(&x), (1, 7));
    // Due 10 s after it was queued, taken 5 s later.
    bench.pass(Duration::from_secs(8));
    let y = bench.one().await;
    assert_eq!(waited(&y), (1, 5));
    bench.broker.release(y.lease, Duration::ZERO).await.unwrap();
    bench.pass(Duration::from_secs(2));
    let y = bench.one().await;
    assert_eq!(waited(&y), (1, 2));
    let later = Duration::from_secs(3);
    bench.broker.release(y.lease, later).await.unwrap();
    bench.pass(Duration::from_secs(4));
    assert_eq!(waited(&bench.one().await), (1, 1));
    // Both leases run out and are taken back.
    bench.pass(LEASE);
    bench.broker.tick().await.unwrap();
    bench.pass(Duration::from_secs(6));
    let both = bench.lease(2).await;
    assert_eq!(both.iter().map(waited).collect::<Vec<_>>(), [(1, 6); 2]);
    bench
        .broker
        .worker_gone(&worker("w"), Departure::Died)
        .await
        .unwrap();
    bench.pass(Duration::from_secs(1));
    let both = bench.lease(2).await;
    assert_eq!(both.iter().map(waited).collect::<Vec<_>>(), [(1, 1); 2]);
    for leased in &both {
        bench.complete(leased).await;
    }
    assert_eq!(bench.state(id).await, JobState::Finished);
}

pub(super) async fn a_lease_says_of_which_pass_it_is(bench: Bench) {
    bench.create(periodic("a")).await;
    assert_eq!(bench.drain().await, ["first"]);
    bench.pass(Duration::from_secs(103));
    let second = bench.one().await;
    // The pass began with the request for it.
    assert_eq!((second.pass, second.waited), (2, Duration::ZERO));
}

pub(super) async fn a_profile_is_replaced_by_who_has_seen_it(bench: Bench) {
    let id = bench.create(job("a")).await;
    let put = async |broker: &Arc<dyn Broker>, revision, text: &str| {
        let bytes = text.as_bytes().to_vec();
        broker.put_profile(id, revision, bytes).await.unwrap()
    };
    assert_eq!(bench.broker.profile(id).await, Ok((0, Vec::new())));
    assert!(!put(&bench.broker, 1, "too early").await);
    assert!(put(&bench.broker, 0, "one").await);
    assert!(!put(&bench.other, 0, "not seen").await);
    assert_eq!(bench.other.profile(id).await, Ok((1, b"one".to_vec())));
    assert!(put(&bench.other, 1, "two").await);
    assert!(!put(&bench.broker, 1, "not seen").await);
    assert_eq!(bench.broker.profile(id).await, Ok((2, b"two".to_vec())));
    let too_long = vec![0; limits::MAX_PROFILE + 1];
    assert!(matches!(
        bench.broker.put_profile(id, 2, too_long).await,
        Err(BrokerError::Invalid { .. })
    ));
}

pub(super) async fn a_profile_goes_with_its_job(bench: Bench) {
    let id = bench.create(job("a")).await;
    bench.drain().await;
    // A job that has ended keeps it, and takes what comes late.
    assert_eq!(bench.broker.put_profile(id, 0, vec![1]).await, Ok(true));
    assert_eq!(bench.broker.profile(id).await, Ok((1, vec![1])));
    bench.broker.forget(id).await.unwrap();
    let unknown = |result| matches!(result, Err(BrokerError::UnknownJob { .. }));
    assert!(unknown(bench.broker.profile(id).await.map(drop)));
    assert!(unknown(
        bench.broker.put_profile(id, 1, vec![2]).await.map(drop)
    ));
    // One of the same name begins without.
    let id = bench.create(job("a")).await;
    assert_eq!(bench.broker.profile(id).await, Ok((0, Vec::new())));
}

pub(super) async fn a_resumed_job_has_the_specification_of_the_last_start(bench: Bench) {
    let id = bench.create(job("a")).await;
    let again = NewJob {
        spec: b"measured".to_vec(),
        ..job("a")
    };
    let resumed = bench.broker.create_job(again).await.unwrap();
    assert!(matches!(&resumed, Created::Resumed(job) if job.id == id && job.spec == b"measured"));
    assert_eq!(*bench.one().await.spec, *b"measured");
}
