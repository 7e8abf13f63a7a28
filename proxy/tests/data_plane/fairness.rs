//! One thread that serves, and many long judgements: small requests do not wait for them.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::world::{OK, PATIENCE, RawClient, RawOrigin, World, waf};

/// Bodies in flight at once; each is judged when its turn comes.
const LARGE: u32 = 8;
/// A body within the default limit.
const LARGE_BYTES: usize = 128 * 1024 - 16;

/// Expressions that begin anew at each quote and are nowhere near a match at its end.
fn rules() -> String {
    let rules = (100..400).map(|id| {
        let pattern = format!(r"(?i)'[\s\w]{{1,30}}'[\s\w]{{1,{}}}[0-9][0-9]", 10 + id % 100);
        format!("SecRule ARGS \"@rx {pattern}\" \"id:{id},phase:2,deny,status:403,t:none,t:lowercase\"")
    });
    rules.collect::<Vec<_>>().join("\n")
}

fn large() -> String {
    let body = format!("a={}", "'+or+1+".repeat(LARGE_BYTES / 7));
    let length = body.len();
    format!(
        "POST /large HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The test's runtime has one thread for proxy, origin and clients.
#[tokio::test]
async fn small_requests_are_answered_while_large_bodies_are_judged() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| waf(policy, &rules())).await;
    let mut small = RawClient::connect(edge).await;
    let begin = Instant::now();
    let mut judged = JoinSet::new();
    for _ in 0..LARGE {
        judged.spawn(async move {
            let mut client = RawClient::connect(edge).await;
            client.send(large()).await;
            client.response().await.unwrap().0
        });
    }
    let (mut worst, mut answered) = (Duration::ZERO, 0_u32);
    let mut statuses = Vec::new();
    while !judged.is_empty() {
        assert!(begin.elapsed() < PATIENCE * 6, "a large body has no answer");
        let asked = Instant::now();
        small.send("GET /small HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(small.response().await.unwrap().0, 200);
        worst = worst.max(asked.elapsed());
        answered += 1;
        while let Some(status) = judged.try_join_next() {
            statuses.push(status.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let total = begin.elapsed();
    assert_eq!(statuses, [200; LARGE as usize], "all were judged, and are no attack");
    let full = world.records.wait((LARGE + answered) as usize).await;
    let read = |record: &palisade_model::RequestRecord| format!("{:?}", record.inspection);
    let full = full.iter().filter(|record| read(record).starts_with("Full { bytes: 13")).count();
    assert_eq!(full, LARGE as usize, "whole");
    assert!(answered > LARGE, "{answered} small ones were answered");
    // One judgement takes `total / LARGE`. On the thread that serves, a small request would wait for a whole one.
    assert!(worst < total / LARGE, "the worst of {answered} took {worst:?}, all large ones {total:?}");
    println!("worst {worst:?} of {answered}, total {total:?}");
}
