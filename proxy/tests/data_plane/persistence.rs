//! Persistent collections through the real data plane: a counter of each client, over connections and hot swaps.

use palisade_model::Protocol;

use crate::world::{OK, RawClient, RawOrigin, World, policy_to, waf};

/// The fourth request of a client is refused.
const COUNTER: &str = r#"
SecRuleEngine On
SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}"
SecAction "id:2,phase:1,pass,nolog,setvar:ip.requests=+1"
SecRule IP:REQUESTS "@gt 3" "id:3,phase:1,deny,status:429"
"#;

async fn status(client: &mut RawClient) -> u16 {
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.response().await.unwrap().0
}

#[tokio::test]
async fn a_counter_of_each_client_blocks_after_its_requests_and_survives_a_swap() {
    let origin = RawOrigin::start(OK).await;
    let (world, edge) = World::gateway(origin.address, |policy| waf(policy, COUNTER)).await;
    let mut first = RawClient::connect(edge).await;
    let mut second = RawClient::connect(edge).await;
    assert_eq!(status(&mut first).await, 200);
    assert_eq!(status(&mut second).await, 200, "another connection of the same address counts on");

    let mut policy = policy_to(origin.address, Protocol::Http);
    waf(&mut policy, &format!("{COUNTER}\nSecAction \"id:9,phase:1,pass,nolog\""));
    world.enforce(policy, "2");
    assert_eq!(status(&mut first).await, 200, "the third");
    assert_eq!(status(&mut second).await, 429, "the fourth, after a swap to other rules");
    assert_eq!(status(&mut RawClient::connect(edge).await).await, 429);

    world.enforce(policy_to(origin.address, Protocol::Http), "3");
    assert_eq!(status(&mut first).await, 200, "no rules");
    let mut policy = policy_to(origin.address, Protocol::Http);
    waf(&mut policy, COUNTER);
    world.enforce(policy, "4");
    assert_eq!(status(&mut first).await, 429, "and back: it is remembered");
}

#[tokio::test]
async fn no_count_is_lost_between_requests_at_the_same_time() {
    let origin = RawOrigin::start(OK).await;
    let counter = COUNTER.replace("@gt 3", "@gt 40");
    let (_world, edge) = World::gateway(origin.address, |policy| waf(policy, &counter)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        tasks.spawn(async move {
            let mut client = RawClient::connect(edge).await;
            let mut statuses = Vec::new();
            for _ in 0..5 {
                statuses.push(status(&mut client).await);
            }
            statuses
        });
    }
    let statuses: Vec<u16> = tasks.join_all().await.concat();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((statuses.len(), refused), (50, 10));
}
