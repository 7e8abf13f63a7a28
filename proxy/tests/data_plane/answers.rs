//! What a rule's `deny`, `redirect` and `drop` look like on the wire, over HTTP/1.1 and HTTP/2.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use palisade_model::Reason;
use palisade_model::record::VerdictFacts;
use tokio::net::TcpStream;

use crate::world::{OK, RawClient, RawOrigin, World, waf};

const RULES: &str = r#"
SecRuleEngine On
SecRule REQUEST_FILENAME "@streq /redirect" "id:1,phase:1,redirect:'https://example.com/denied?from=%{ARGS.from}'"
SecRule REQUEST_FILENAME "@streq /moved" "id:2,phase:1,status:308,redirect:/elsewhere"
SecRule REQUEST_FILENAME "@streq /drop" "id:3,phase:1,drop"
SecRule RESPONSE_HEADERS:X-Leak "@rx ." "id:4,phase:3,drop"
SecRule REQUEST_FILENAME "@streq /deny" "id:5,phase:1,deny,status:409"
"#;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

async fn guarded(answer: &str) -> (RawOrigin, World, std::net::SocketAddr) {
    let origin = RawOrigin::start(answer).await;
    let (world, edge) = World::gateway(origin.address, |policy| waf(policy, RULES)).await;
    (origin, world, edge)
}

async fn http2(edge: std::net::SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(edge).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn answered(
    sender: &mut SendRequest<Empty<Bytes>>,
    path: &str,
    content_type: &str,
) -> Result<(u16, HeaderMap), hyper::Error> {
    let request = Request::get(format!("http://a{path}")).header("content-type", content_type);
    let response = sender.send_request(request.body(Empty::new()).unwrap()).await?;
    Ok((response.status().as_u16(), response.headers().clone()))
}

#[tokio::test]
async fn a_redirect_answers_with_its_status_and_location_and_the_connection_goes_on() {
    let (origin, world, edge) = guarded(OK).await;
    let mut client = RawClient::connect(edge).await;
    for (path, status, location) in [
        ("/redirect?from=shop", 302, "location: https://example.com/denied?from=shop\r\n"),
        (
            "/redirect?from=a%0d%0aset-cookie:x=1%0d%0a%0d%0abody",
            302,
            "location: https://example.com/denied?from=a%0d%0aset-cookie:x=1%0d%0a%0d%0abody\r\n",
        ),
        ("/moved", 308, "location: /elsewhere\r\n"),
        ("/deny", 409, "x-palisade-reference: "),
    ] {
        client.send(get(path)).await;
        let (answered, head, body) = client.response().await.unwrap();
        assert_eq!(answered, status, "{path}");
        assert!(head.contains(location) && !head.contains("\r\nset-cookie"), "{path}: {head}");
        assert!(String::from_utf8(body).unwrap().contains("reference: "), "{path}");
    }
    let mut sender = http2(edge).await;
    let (status, headers) = answered(&mut sender, "/redirect?from=%0a%00", "text/plain").await.unwrap();
    assert_eq!(status, 302);
    assert_eq!(headers["location"], "https://example.com/denied?from=%0A%00");
    let (status, headers) = answered(&mut sender, "/moved", "application/grpc").await.unwrap();
    let permission_denied = "7";
    assert_eq!((status, headers.get("location")), (200, None), "a gRPC client does not follow");
    assert_eq!(headers["grpc-status"], permission_denied);
    assert_eq!(origin.text(), "", "nothing was forwarded");
    let records = world.records.wait(6).await;
    for record in &records {
        let VerdictFacts::Deny(denial) = &record.verdict else { panic!("permitted") };
        assert_eq!(denial.reason, Reason::WafRequest);
    }
    assert_eq!(records[0].response.as_ref().unwrap().status, 302);
}

#[tokio::test]
async fn a_drop_closes_the_connection_or_resets_the_stream_without_a_byte() {
    let (origin, world, edge) = guarded(OK).await;
    let mut client = RawClient::connect(edge).await;
    client.send(get("/fine")).await;
    assert_eq!(client.response().await.unwrap().0, 200);
    client.send(get("/drop")).await;
    assert_eq!(client.rest().await, "", "HTTP/1.1: closed without a byte");

    let mut sender = http2(edge).await;
    let error = answered(&mut sender, "/drop", "text/plain").await.unwrap_err();
    assert!(!error.is_closed(), "the stream alone is reset: {error:?}");
    let error = answered(&mut sender, "/drop", "application/grpc").await.unwrap_err();
    assert!(!error.is_closed(), "gRPC too: {error:?}");
    assert_eq!(answered(&mut sender, "/fine", "text/plain").await.unwrap().0, 200, "others go on");

    assert!(!origin.text().contains("/drop"));
    let records = world.records.wait(5).await;
    let dropped: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.verdict {
            VerdictFacts::Deny(denial) => Some((denial.reason, denial.status.as_u16())),
            _ => None,
        })
        .collect();
    assert_eq!(dropped, [(Reason::WafRequest, 403); 3], "each has one record");
}

#[tokio::test]
async fn a_response_is_dropped_before_a_byte_of_it_leaves() {
    let (_origin, world, edge) =
        guarded("HTTP/1.1 200 OK\r\nx-leak: 1\r\ncontent-length: 6\r\n\r\nsecret").await;
    let mut client = RawClient::connect(edge).await;
    client.send(get("/")).await;
    assert_eq!(client.rest().await, "");
    let record = world.records.wait(1).await.remove(0);
    let VerdictFacts::Deny(denial) = record.verdict else { panic!("permitted") };
    assert_eq!(denial.reason, Reason::WafResponse);
}
