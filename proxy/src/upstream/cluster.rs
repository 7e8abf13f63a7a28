//! Which endpoint of which cluster takes a request.
//!
//! Promises: shares follow the weights; an endpoint that could not be reached is passed over for a while, unless all
//! of them could not. Clusters are plain data of one policy; what lives longer (connections, failures) is in `Pool`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use palisade_model::policy::{self, UpstreamTls, WeightedCluster};
use palisade_model::{Protocol, RequestHead};

use super::pool::{Pool, Pools};
use crate::policy::Active;

/// How HTTP is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// One exchange at a time.
    Http1,
    /// Many exchanges over one connection.
    Http2,
}

/// One address of a cluster.
#[derive(Debug)]
pub struct Endpoint {
    /// Its connections.
    pub pool: Arc<Pool>,
    weight: u64,
}

/// A destination.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    protocol: Protocol,
    endpoints: Vec<Endpoint>,
    total: u64,
    turn: AtomicU64,
}

impl Cluster {
    /// From the policy.
    pub fn new(cluster: &policy::Cluster, pools: &Pools) -> Self {
        let endpoints: Vec<_> = cluster
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.weight > 0)
            .map(|endpoint| Endpoint {
                pool: pools.pool(endpoint.address, &cluster.tls),
                weight: u64::from(endpoint.weight),
            })
            .collect();
        let total = endpoints.iter().map(|endpoint| endpoint.weight).sum();
        Self {
            name: cluster.name.as_str().into(),
            protocol: cluster.protocol,
            endpoints,
            total,
            turn: AtomicU64::new(0),
        }
    }

    /// The application beside a sidecar.
    pub fn application(address: SocketAddr, protocol: Protocol, pools: &Pools) -> Self {
        let endpoints = vec![Endpoint { pool: pools.pool(address, &UpstreamTls::None), weight: 1 }];
        Self { name: "application".into(), protocol, endpoints, total: 1, turn: AtomicU64::new(0) }
    }

    /// How a request is spoken. A cluster of undeclared protocol is spoken to as the client spoke where HTTP/2 is
    /// needed (gRPC), else in HTTP/1.1.
    pub fn wire(&self, head: &RequestHead) -> Wire {
        match self.protocol {
            Protocol::Http2 | Protocol::Grpc => Wire::Http2,
            Protocol::Auto | Protocol::Http | Protocol::Tcp => {
                let grpc = head.version == http::Version::HTTP_2
                    && head
                        .headers
                        .get(http::header::CONTENT_TYPE)
                        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
                if grpc { Wire::Http2 } else { Wire::Http1 }
            }
        }
    }

    /// How many endpoints take traffic.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The next endpoint by weight. `now_ms` is any clock that `Pool::failed` was given too.
    pub fn pick(&self, now_ms: u64) -> Option<&Endpoint> {
        if let [only] = self.endpoints.as_slice() {
            return Some(only);
        }
        let mut at = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(self.total)?;
        let mut chosen = 0;
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if at < endpoint.weight {
                chosen = index;
                break;
            }
            at -= endpoint.weight;
        }
        let (before, from) = self.endpoints.split_at_checked(chosen)?;
        from.iter().chain(before).find(|endpoint| !endpoint.pool.is_failing(now_ms)).or(from.first())
    }
}

/// The cluster that takes the next request of a route.
pub fn choose<'a>(active: &'a Active, backends: &[WeightedCluster], turn: u64) -> Option<&'a Arc<Cluster>> {
    if let [only] = backends {
        return (only.weight > 0).then(|| active.cluster(&only.cluster)).flatten();
    }
    let total: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    let mut at = turn.checked_rem(total)?;
    for backend in backends {
        let weight = u64::from(backend.weight);
        if at < weight {
            return active.cluster(&backend.cluster);
        }
        at -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::pool::FAILURE_PAUSE_MS;

    fn cluster(weights: &[u32], pools: &Pools) -> Cluster {
        let endpoints = weights
            .iter()
            .zip(1_u16..)
            .map(|(weight, port)| policy::Endpoint {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                weight: *weight,
            })
            .collect();
        let cluster =
            policy::Cluster { name: "c".into(), endpoints, protocol: Protocol::Http, tls: UpstreamTls::None };
        Cluster::new(&cluster, pools)
    }

    fn shares(cluster: &Cluster, picks: usize, now_ms: u64) -> Vec<usize> {
        let mut counts = vec![0; cluster.len()];
        for _ in 0..picks {
            let port = cluster.pick(now_ms).unwrap().pool.address().port();
            counts[usize::from(port) - 1] += 1;
        }
        counts
    }

    #[test]
    fn endpoints_take_their_share_by_weight() {
        let pools = Pools::default();
        assert_eq!(shares(&cluster(&[1, 3], &pools), 40, 0), [10, 30]);
        assert!(cluster(&[0], &pools).pick(0).is_none(), "weight 0 takes nothing");
        assert!(cluster(&[], &pools).pick(0).is_none());
    }

    #[test]
    fn a_failing_endpoint_is_passed_over_until_its_pause_is_over_or_all_fail() {
        let pools = Pools::default();
        let cluster = cluster(&[1, 1], &pools);
        cluster.endpoints[0].pool.failed(1_000);
        assert_eq!(shares(&cluster, 10, 1_001), [0, 10]);
        assert_eq!(shares(&cluster, 10, 1_000 + FAILURE_PAUSE_MS - 1), [0, 10]);
        assert_eq!(shares(&cluster, 10, 1_000 + FAILURE_PAUSE_MS), [5, 5]);
        cluster.endpoints[1].pool.failed(1_000);
        assert_eq!(shares(&cluster, 10, 1_001), [5, 5], "somebody has to take it");
    }
}
