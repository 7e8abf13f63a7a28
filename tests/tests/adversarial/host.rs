//! Hosts that mean `admin.example` to somebody.

use tempfile::TempDir;

use crate::authority::{Authority, tls_client};
use crate::frames::Http2;
use crate::stage::{Client, Origin, Stage, policy};

fn at(host: &str) -> String {
    format!("GET /good HTTP/1.1\r\nhost: {host}\r\n\r\n")
}

fn fields(host: &str) -> Vec<(&[u8], &[u8])> {
    let mut fields = Http2::get("/good");
    fields[2].1 = host.as_bytes();
    fields
}

fn refused(hosts: &[&str], statuses: &[u16]) {
    let stage = Stage::new(Origin::ok());
    for host in hosts {
        stage.refuses(host, at(host), statuses);
        Http2::refused(&stage, host, &fields(host), statuses);
    }
}

#[test]
fn host_20_case_does_not_hide_a_denied_host() {
    refused(&["ADMIN.EXAMPLE", "Admin.Example", "admin.exAmple:80"], &[403]);
}

#[test]
fn host_21_a_port_does_not_hide_a_denied_host() {
    refused(&["admin.example:80", "admin.example:8080"], &[403]);
    refused(
        &["admin.example:0080", "admin.example:", "admin.example:99999", "admin.example:8o"],
        &[400, 403],
    );
}

#[test]
fn host_22_a_trailing_dot_does_not_hide_a_denied_host() {
    refused(&["admin.example.", "ADMIN.example.", "admin.example.:80", "admin.example.."], &[400, 403]);
}

#[test]
fn host_24_two_hosts_are_refused() {
    let stage = Stage::new(Origin::ok());
    let cases = [
        "GET /good HTTP/1.1\r\nhost: shop.example\r\nhost: admin.example\r\n\r\n",
        "GET /good HTTP/1.1\r\nhost: shop.example\r\nHost: shop.example\r\n\r\n",
        "GET http://shop.example/good HTTP/1.1\r\nhost: admin.example\r\n\r\n",
        "GET /good HTTP/1.1\r\nhost: shop.example, admin.example\r\n\r\n",
        "GET /good HTTP/1.1\r\nhost:\r\n\r\n",
        "GET /good HTTP/1.1\r\n\r\n",
    ];
    for case in cases {
        stage.refuses(case, case, &[400]);
    }
    let mut two = Http2::get("/good");
    two.push((b"host", b"admin.example"));
    Http2::refused(&stage, "host beside :authority", &two, &[400]);
    let mut only_host = Http2::get("/good");
    only_host[2] = (b"host", b"admin.example");
    only_host.swap(2, 3);
    Http2::refused(&stage, "host in the place of :authority", &only_host, &[403]);
}

#[test]
fn host_25_the_host_is_judged_whatever_the_sni_says_and_the_sni_can_be_judged_too() {
    let authority = Authority::new("cluster.local");
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("certs")).unwrap();
    let edge = authority.ordinary("*.example");
    std::fs::write(dir.path().join("certs/edge.crt"), edge.chain_pem()).unwrap();
    std::fs::write(dir.path().join("certs/edge.key"), edge.key_pem()).unwrap();
    let origin = Origin::ok();
    let mut policy = policy(origin.address);
    policy["certificates"] = "certs".into();
    policy["listeners"][0]["role"] = serde_json::json!({"gateway": {"certificates": ["edge"]}});
    policy["authorization"][0]["spec"]["rules"][2] =
        serde_json::json!({"when": [{"key": "connection.sni", "values": ["admin.example"]}]});
    let stage = Stage::playing(origin, &policy, dir);
    let ask = |sni: &str, host: &str| {
        let mut client = Client::over(tls_client(stage.edge, authority.ordinary_client(), sni).unwrap());
        client.send(at(host));
        client.answer().unwrap().status
    };
    assert_eq!(ask("shop.example", "shop.example"), 200);
    assert_eq!(ask("shop.example", "admin.example"), 403, "the host is denied");
    assert_eq!(ask("admin.example", "shop.example"), 403, "the name of the handshake is denied");
    assert_eq!(ask("shop.example", "other.example"), 200, "no rule: the route of the host decides");
    assert_eq!(stage.origin.count(), 2);
    assert!(!stage.origin.text().contains("admin"), "{}", stage.origin.text());
}
