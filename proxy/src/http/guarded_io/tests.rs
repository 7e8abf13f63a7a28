//! The patiences of a connection, under the paused clock: what comes in time is served, and nothing later.

use palisade_model::policy::{Listener, ListenerRole};
use palisade_model::{Connection, Direction, Limits, WorkloadId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;
use crate::downstream::Listening;
use crate::plane::Plane;
use crate::telemetry::Telemetry;

const TICK: Duration = Duration::from_millis(1);
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The patiences that are in force unless a policy says otherwise.
fn patience() -> Patience {
    let limits = Limits::default();
    Patience {
        head: Duration::from_millis(limits.header_timeout_ms),
        idle: Duration::from_millis(limits.idle_timeout_ms),
        write: Duration::from_millis(limits.body_timeout_ms),
    }
}

/// A guarded end of a pipe that holds so many bytes, and the client's end.
fn pipe(bytes: usize) -> (GuardedIo<DuplexStream>, Line, Arc<Downstream>, DuplexStream) {
    let workload = WorkloadId::local("shop", "web");
    let plane = Plane::new(workload.clone(), None, Telemetry::new(&workload, None, false));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let listener = Listener { name: "out".to_owned(), address, role: ListenerRole::OutboundHttp };
    let connection = Connection {
        listener: "out".to_owned(),
        direction: Direction::Outbound,
        peer: address,
        client: address,
        local: address,
        principal: None,
        sni: None,
        tls: false,
    };
    let listening = Arc::new(Listening::new(&listener, address, &plane));
    let downstream = Downstream::new(plane, listening, connection);
    let (near, far) = duplex(bytes);
    let (io, line) = GuardedIo::new(near, HeadLimits::default(), patience(), downstream.clone());
    (io, line, downstream, far)
}

async fn read(io: &mut GuardedIo<DuplexStream>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let bytes = io.read(&mut buffer).await.unwrap();
    buffer[..bytes].to_vec()
}

/// Whether the head that comes is served; otherwise it has to be refused for its time.
async fn served(io: &mut GuardedIo<DuplexStream>, line: &Line) -> bool {
    let bytes = read(io).await;
    match line.next().unwrap() {
        Arrived::Head(_) => bytes == HEAD,
        Arrived::Refused(refusal) => {
            assert_eq!(bytes, STAND_IN);
            assert!(matches!(refusal, Refusal::Limit(Limit::HeaderTimeout)), "{refusal:?}");
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_may_take_until_the_limit_from_its_first_byte_and_no_longer() {
    let limit = patience().head;
    for (takes, good) in [(limit - TICK, true), (limit + TICK, false)] {
        let (mut io, line, _, mut client) = pipe(1024);
        let task = tokio::spawn(async move {
            for _ in 0..2 {
                client.write_all(&HEAD[..10]).await.unwrap();
                // A byte now and then gives it no more time.
                sleep(limit / 2).await;
                client.write_all(&HEAD[10..11]).await.unwrap();
                sleep(takes - limit / 2).await;
                client.write_all(&HEAD[11..]).await.unwrap();
                // Between two heads there is more time than for a head.
                sleep(3 * limit).await;
            }
        });
        let begun = Instant::now();
        assert_eq!(served(&mut io, &line).await, good, "{takes:?}");
        assert_eq!(begun.elapsed(), takes.min(limit));
        if good {
            assert!(served(&mut io, &line).await, "the second began later");
            assert_eq!(begun.elapsed(), 2 * takes + 3 * limit);
        }
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_idle_until_the_limit_and_no_longer_unless_it_is_busy() {
    let limit = patience().idle;
    for (idles, busy, good) in
        [(limit - TICK, false, true), (limit + TICK, false, false), (3 * limit, true, true)]
    {
        let (mut io, line, downstream, mut client) = pipe(1024);
        client.write_all(HEAD).await.unwrap();
        assert!(served(&mut io, &line).await);
        if busy {
            downstream.begin();
        }
        let task = tokio::spawn(async move {
            sleep(idles).await;
            client.write_all(HEAD).await.unwrap();
            sleep(limit).await;
        });
        let begun = Instant::now();
        assert_eq!(read(&mut io).await, if good { HEAD } else { b"" }, "{idles:?}");
        assert_eq!(begun.elapsed(), if good { idles } else { limit });
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_take_no_byte_until_the_limit_and_no_longer() {
    let limit = patience().write;
    for (waits, good) in [(limit - TICK, true), (limit + TICK, false)] {
        let (mut io, _, _, mut client) = pipe(1);
        let task = tokio::spawn(async move {
            // One byte at a time: each has the time anew.
            for _ in 0..3 {
                sleep(waits).await;
                client.read_u8().await.unwrap();
            }
            sleep(limit).await;
        });
        let begun = Instant::now();
        let written = io.write_all(b"1234").await;
        assert_eq!(written.is_ok(), good, "{waits:?}");
        assert_eq!(begun.elapsed(), if good { 3 * waits } else { limit });
        task.abort();
    }
}
