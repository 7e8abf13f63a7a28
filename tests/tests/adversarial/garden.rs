//! The garden: nginx as the origin. What the proxy counts as a request, nginx counts as the same request.
//!
//! Without `/usr/sbin/nginx` the test says so and returns.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use palisade_tests::process::{Program, wait_until};
use tempfile::TempDir;

use crate::stage::{Client, Origin, Stage};

const NGINX: &str = "/usr/sbin/nginx";

fn nginx(dir: &Path) -> (SocketAddr, Program) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = dir.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ log_format seen '$status $uri'; access_log {at}/seen.log seen;\n\
         client_body_temp_path {at}/body; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         server {{ listen {address}; location / {{ return 200 'ok'; }} }} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let mut command = Command::new(NGINX);
    command.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir).arg("-e").arg(dir.join("error.log"));
    let mut program = Program::start("nginx", command, &dir.join("log")).unwrap();
    wait_until("nginx listens", 20, || {
        program.check()?;
        Ok(std::net::TcpStream::connect(address).is_ok())
    })
    .unwrap();
    (address, program)
}

/// Messages whose number of requests servers have disagreed about.
fn corpus() -> Vec<String> {
    let inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = |lines: &str, body: &str| format!("POST /p HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{body}");
    let chunked = "transfer-encoding: chunked";
    let mut corpus = vec![
        post("content-length: 5\r\ntransfer-encoding: chunked", &format!("0\r\n\r\n{inner}")),
        post("transfer-encoding: chunked\r\ncontent-length: 0", &format!("0\r\n\r\n{inner}")),
        post("transfer-encoding: xchunked", &format!("0\r\n\r\n{inner}")),
        post("transfer-encoding: chunked, identity", &format!("0\r\n\r\n{inner}")),
        post("transfer-encoding:\u{b}chunked", &format!("0\r\n\r\n{inner}")),
        post("content-length: 0\r\ncontent-length: 40", inner),
        post("content-length: +0", inner),
        post("content-length: 00", inner),
        post("content-length:", inner),
        post("content-length : 0", inner),
        post("content_length: 40", inner),
        post(chunked, &format!("0\n\n{inner}")),
        post(chunked, &format!("0;x=\"\n\"\r\n\r\n{inner}")),
        post(chunked, &format!("00000000000000000000\r\n\r\n{inner}")),
        post(chunked, &format!("2\r\nokX\r\n0\r\n\r\n{inner}")),
        post(chunked, &format!("2\r\nok\r\n0\r\nx: y\r\n\r\n{inner}")),
        post(chunked, &format!("100000000000000002\r\nok\r\n0\r\n\r\n{inner}")),
        post(chunked, &format!("0_2\r\nok\r\n0\r\n\r\n{inner}")),
        post(&format!("expect: 100-continue\r\n{chunked}"), &format!("0\r\n\r\n{inner}")),
        format!("GET /g HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{inner}", inner.len()),
        format!("GET /g HTTP/1.1\r\nhost: a\r\n{chunked}\r\n\r\n0\r\n\r\n{inner}"),
        format!("GET /g HTTP/1.0\r\nhost: a\r\n{chunked}\r\n\r\n0\r\n\r\n{inner}"),
        format!("GET /g HTTP/1.1\r\nhost: a\r\nx: y\n\n{inner}"),
        format!("GET /g HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n{inner}"),
        format!("GET /g HTTP/1.1\nhost: a\n\n{inner}"),
        format!("\r\n\r\nGET /g HTTP/1.1\r\nhost: a\r\n\r\n{inner}"),
        format!("{inner}{inner}{inner}"),
    ];
    corpus.extend((0..8).map(|cut| post(&format!("content-length: {}", inner.len() - cut), inner)));
    corpus
}

/// Requests of a message that nginx answered with 200.
fn counted(log: &str, number: usize) -> usize {
    log.lines().filter(|line| line.starts_with("200") && line.contains(&format!("-{number}-"))).count()
}

#[test]
fn garden_the_proxy_and_nginx_count_the_same_requests() {
    if !Path::new(NGINX).is_file() {
        println!("skipped: nginx is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let (address, _nginx) = nginx(dir.path());
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["clusters"][0]["endpoints"][0]["address"] = address.to_string().into();
    });
    let mut answered = 0;
    for (number, message) in corpus().iter().enumerate() {
        let mut client = Client::connect(stage.edge);
        // The last request asks for the end, so that nobody has to guess when all is answered.
        let end = "GET /end HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        client.send(format!("{message}{end}").replace(" HTTP/1.", &format!("-{number}- HTTP/1.")));
        let answers = client.rest();
        // The proxy's own answers have a reference id; the others are nginx's.
        let theirs = answers
            .split("HTTP/1.1 ")
            .filter(|one| one.starts_with("200") && !one.contains("x-palisade-reference"))
            .count();
        answered += theirs;
        let mut log = String::new();
        // nginx writes its log after its answer.
        wait_until("nginx has logged what it answered", 20, || {
            log = std::fs::read_to_string(dir.path().join("seen.log"))?;
            Ok(counted(&log, number) >= theirs)
        })
        .unwrap_or_else(|error| panic!("{error}: {message:?}\n{answers}\n{log}"));
        // A body that breaks after its head had left: nginx may have answered that one request already.
        let broken = usize::from(answers.contains("x-palisade-reference"));
        let more = counted(&log, number) - theirs;
        let smuggled = log.contains(&format!("/smuggled-{number}-"));
        assert!(more <= broken && (more == 0 || !smuggled), "{message:?}\n{answers}\n{log}");
    }
    assert!(answered >= 10, "the corpus has good messages too, {answered} were answered");
    let log = std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default();
    assert!(!log.contains("client sent invalid"), "nothing malformed reaches nginx: {log}");
}
