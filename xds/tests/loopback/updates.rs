//! Policies change, are accepted and refused, and survive reconnects.

use std::sync::Arc;

use palisade_model::WorkloadId;
use palisade_xds::client::Client;

use crate::stage::*;

#[tokio::test]
async fn a_hundred_changes_in_a_row_arrive_whole_and_are_acked_in_order() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    for revision in 0..100 {
        let wanted = policy(3, revision);
        let version = stage.cache.set_policy(&wanted).unwrap();
        let update = sidecar.update().await;
        assert_eq!(*update.policy, wanted);
        assert_eq!(update.version, version);
        update.accept();
        assert_eq!(stage.next_status().await, Seen::Acked(version.clone()));
        sidecar.until(|status| status.version.as_ref() == Some(&version)).await;
    }
}

#[tokio::test]
async fn a_slow_sidecar_skips_versions_and_ends_at_the_last() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let first = stage.cache.set_policy(&policy(3, 0)).unwrap();
    let held = sidecar.update().await;
    let mut last = String::new();
    for revision in 1..=50 {
        last = stage.cache.set_policy(&policy(3, revision)).unwrap();
    }
    held.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(first));
    let update = sidecar.update().await;
    assert_eq!(*update.policy, policy(3, 50));
    update.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(last));
}

#[tokio::test]
async fn a_rejected_policy_is_a_nack_with_its_reason_and_the_next_good_one_is_taken() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let good = stage.cache.set_policy(&policy(2, 0)).unwrap();
    sidecar.update().await.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(good.clone()));

    let bad = stage.cache.set_policy(&policy(2, 1)).unwrap();
    sidecar.update().await.reject("rules[0]: does not compile");
    assert_eq!(stage.next_status().await, Seen::Nacked(bad.clone(), "rules[0]: does not compile".into()));
    let status = sidecar.until(|status| status.rejected.is_some()).await;
    assert_eq!(status.version, Some(good), "a NACK does not advance the version");
    assert_eq!(status.rejected, Some((bad, "rules[0]: does not compile".into())));

    // Back to what was there before: the fragment is the accepted one again.
    let back = stage.cache.set_policy(&policy(2, 0)).unwrap();
    assert_eq!(stage.next_status().await, Seen::Acked(back));

    let dropped = stage.cache.set_policy(&policy(2, 2)).unwrap();
    drop(sidecar.update().await);
    let Seen::Nacked(version, _) = stage.next_status().await else {
        panic!("a dropped update is a rejection")
    };
    assert_eq!(version, dropped);

    let next = stage.cache.set_policy(&policy(2, 3)).unwrap();
    let update = sidecar.update().await;
    assert_eq!(*update.policy, policy(2, 3));
    update.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(next));
    assert_eq!(sidecar.until(|status| status.rejected.is_none()).await.rejected, None);
}

#[tokio::test]
async fn after_a_reconnect_the_policy_in_force_is_known_and_only_a_change_is_offered() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let first = stage.cache.set_policy(&policy(5, 0)).unwrap();
    sidecar.update().await.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(first.clone()));

    stage.restart().await;
    // The server learns from the first request what is in force, without sending anything.
    assert_eq!(stage.next_status().await, Seen::Acked(first));
    assert!(sidecar.updates.try_recv().is_err());

    let second = stage.cache.set_policy(&policy(5, 1)).unwrap();
    let update = sidecar.update().await;
    assert_eq!(*update.policy, policy(5, 1));
    update.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(second));
}

#[tokio::test]
async fn an_update_answered_while_the_connection_was_away_counts() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let version = stage.cache.set_policy(&policy(2, 0)).unwrap();
    let held = sidecar.update().await;
    stage.restart().await;
    held.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(version.clone()));
    assert_eq!(sidecar.until(|status| status.version.is_some()).await.version, Some(version));
    assert!(sidecar.updates.try_recv().is_err(), "it was not offered twice");
}

#[tokio::test]
async fn a_sidecar_that_starts_from_its_last_good_policy_is_sent_nothing_it_has() {
    let mut stage = Stage::new().await;
    let version = stage.cache.set_policy(&policy(5, 0)).unwrap();
    let mut sidecar = Sidecar::new(stage.address, &web(), Some(Arc::new(policy(5, 0))));
    assert_eq!(stage.next_status().await, Seen::Acked(version));
    assert!(sidecar.updates.try_recv().is_err());
}

#[tokio::test]
async fn a_withdrawn_policy_leaves_the_last_good_one_in_force() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let version = stage.cache.set_policy(&policy(2, 0)).unwrap();
    sidecar.update().await.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(version.clone()));
    stage.cache.remove_policy(&web());
    let status = sidecar.until(|status| status.withdrawn).await;
    assert_eq!(status.version, Some(version));
    let version = stage.cache.set_policy(&policy(2, 1)).unwrap();
    sidecar.update().await.accept();
    assert_eq!(stage.next_status().await, Seen::Acked(version));
    assert!(!sidecar.until(|status| !status.withdrawn).await.withdrawn);
}

#[tokio::test]
async fn a_policy_that_requires_an_unknown_feature_is_a_nack() {
    let mut stage = Stage::new().await;
    let mut sidecar = Sidecar::new(stage.address, &web(), None);
    let mut wanted = policy(1, 0);
    wanted.required_features.insert("telepathy/v1".into());
    let version = stage.cache.set_policy(&wanted).unwrap();
    let Seen::Nacked(refused, error) = stage.next_status().await else { panic!("it must be refused") };
    assert_eq!(refused, version);
    assert!(error.contains("telepathy/v1"), "{error}");
    assert!(sidecar.updates.try_recv().is_err());
}

#[tokio::test]
async fn an_older_sidecar_advertises_less_and_refuses_what_it_cannot_do() {
    let mut stage = Stage::new().await;
    let features = vec!["authorization/v1".to_owned()];
    let client = Client::with_features(web(), features.clone(), None, quick()).unwrap();
    let mut sidecar = Sidecar::start(stage.address, client);
    assert_eq!(stage.next().await, Seen::Connected(features));
    let mut wanted = policy(1, 0);
    wanted.required_features.insert("waf/v1".into());
    stage.cache.set_policy(&wanted).unwrap();
    assert!(matches!(stage.next_status().await, Seen::Nacked(_, error) if error.contains("waf/v1")));
    wanted.required_features = ["authorization/v1".to_owned()].into();
    stage.cache.set_policy(&wanted).unwrap();
    sidecar.update().await.accept();
    assert!(matches!(stage.next_status().await, Seen::Acked(_)));
}

#[tokio::test]
async fn a_peer_that_may_not_speak_for_a_workload_gets_no_stream() {
    let stage = Stage::new().await;
    let stranger = WorkloadId::local("shop", "stranger");
    let mut sidecar = Sidecar::new(stage.address, &stranger, None);
    let status = sidecar.until(|status| status.last_error.is_some()).await;
    assert!(!status.connected);
    assert!(status.last_error.unwrap().contains("not your workload"));
}
