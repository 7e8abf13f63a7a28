//! The steps of the demo: as five curl lines for a person, and played with expected and got for CI.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::House;
use super::documents;
use crate::http::{self, Answer};
use crate::process::wait_until;

/// The query of the attack, percent-encoded: `1' OR '1'='1`.
const INJECTION: &str = "/products?q=1%27%20OR%20%271%27%3D%271";

/// Five lines to try.
pub fn curl_lines(house: &House) -> String {
    let gateway = format!("127.0.0.10:{}", house.ports.gateway);
    let token = house.token();
    let rest = house.rest();
    let policy = documents::waf_policy("detect").replace('\n', "\\n");
    format!(
        "\nTry:\n\
         1. an allowed call through the gateway, shop and catalog\n   curl -i http://{gateway}/products\n\
         2. a call from intruder, which nobody allowed\n   curl -i -H 'Host: payments.shop' http://127.0.0.14:{}/charge\n\
         3. a SQL injection at the gateway\n   curl -i 'http://{gateway}{INJECTION}'\n\
         4. the same after switching that rule to detect\n   printf '{policy}' | curl -sS -X PUT -H 'Authorization: Bearer {token}' \
         -H 'Content-Type: application/yaml' --data-binary @- http://{rest}/api/v1/documents/WafPolicy/shop/edge && sleep 1 && \
         curl -i 'http://{gateway}{INJECTION}'\n\
         5. the event behind a denial (the x-palisade-reference of 2 or 3)\n   curl -sS -H 'Authorization: Bearer {token}' \
         'http://{rest}/api/v1/events?reference=REFERENCE'\n",
        house.ports.outbound
    )
}

/// One row of the table.
struct Row {
    step: &'static str,
    expected: String,
    got: String,
    passed: bool,
}

/// Plays the steps and prints the table. Gives whether all came as expected.
pub fn play(house: &mut House) -> Result<bool> {
    println!("{}", house.describe());
    let mut rows = Vec::new();
    let gateway = SocketAddr::from((house.member("gateway")?.address, house.ports.gateway));
    let out_of = |house: &House, name: &str| -> Result<SocketAddr> {
        Ok(SocketAddr::from((house.member(name)?.address, house.ports.outbound)))
    };

    let answer = http::send(gateway, "GET", "/products", &[], "")?;
    rows.push(row("allowed: gateway → shop → catalog", 200, "oak stake", &answer));
    let answer = http::send(gateway, "GET", "/checkout", &[], "")?;
    rows.push(row("allowed: gateway → shop → payments", 200, "42.00 EUR", &answer));

    let denied = http::send(out_of(house, "intruder")?, "GET", "/charge", &[("host", "payments.shop")], "")?;
    rows.push(row("denied by identity: intruder → payments", 403, "", &denied));
    rows.push(event_row(
        house,
        "the event explains it by reference",
        &denied,
        "no ALLOW rule",
        "payments-callers",
    )?);

    rows.push(plaintext_row(house)?);
    rows.push(ledger_row(house, "shop", true)?);
    rows.push(ledger_row(house, "intruder", false)?);

    let blocked = http::send(gateway, "GET", INJECTION, &[], "")?;
    rows.push(row("blocked: SQL injection at the gateway", 403, "", &blocked));
    rows.push(event_row(house, "the event names rule 100100", &blocked, "waf", "100100")?);

    house.put("WafPolicy", "edge", &documents::waf_policy("detect"))?;
    let begun = std::time::Instant::now();
    let mut answer = blocked;
    let _ = wait_until("the rule detects only", 10, || {
        answer = http::send(gateway, "GET", INJECTION, &[], "")?;
        Ok(answer.status == 200)
    });
    let title = "the same in detect mode passes";
    rows.push(row(title, 200, "oak stake", &answer));
    println!("from PUT to enforced: {} ms", begun.elapsed().as_millis());

    print(&rows);
    house.check()?;
    Ok(rows.iter().all(|row| row.passed))
}

fn row(step: &'static str, status: u16, contains: &str, answer: &Answer) -> Row {
    let passed = answer.status == status && answer.body.contains(contains);
    let wanted = if contains.is_empty() { String::new() } else { format!(" with {contains:?}") };
    let got =
        if passed { answer.status.to_string() } else { format!("{} {}", answer.status, answer.body.trim()) };
    Row { step, expected: format!("{status}{wanted}"), got, passed }
}

/// Looks an answer's reference id up and wants both words in the event.
fn event_row(house: &House, step: &'static str, answer: &Answer, first: &str, second: &str) -> Result<Row> {
    let expected = format!("{first:?} and {second:?}");
    let Some(reference) = answer.header("x-palisade-reference") else {
        return Ok(Row { step, expected, got: "no x-palisade-reference".to_owned(), passed: false });
    };
    let path = format!("/api/v1/events?reference={reference}");
    let mut found = String::new();
    // Events come in batches.
    let _ = wait_until("the event", 10, || {
        let answer = house.rest_call("GET", &path, "")?;
        found = answer.body;
        Ok(answer.status == 200 && found.contains(reference))
    });
    let passed = found.contains(first) && found.contains(second);
    let got = if passed { reference.to_owned() } else { format!("{reference}: {found}") };
    Ok(Row { step, expected, got, passed })
}

/// A sidecar's way in takes mTLS only: plain HTTP gets no answer.
fn plaintext_row(house: &House) -> Result<Row> {
    let address = SocketAddr::from((house.member("payments")?.address, house.ports.inbound));
    let got = match http::send(address, "GET", "/charge", &[("host", "payments.shop")], "") {
        Ok(answer) => format!("{} {}", answer.status, answer.body),
        Err(_) => "closed".to_owned(),
    };
    let step = "plaintext to a sidecar's way in";
    Ok(Row { step, expected: "closed".to_owned(), passed: got == "closed", got })
}

/// TCP through the sidecars, authorized at layer 4.
fn ledger_row(house: &House, caller: &str, allowed: bool) -> Result<Row> {
    let address = SocketAddr::from((house.member(caller)?.address, house.ports.outbound_tcp));
    let mut stream = TcpStream::connect(address).context("connect to the way out")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let sent = stream.write_all(b"balance\n");
    let mut buffer = [0_u8; 64];
    let length = sent.and_then(|()| stream.read(&mut buffer)).unwrap_or(0);
    let got = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim().to_owned();
    let (step, expected) = match allowed {
        true => ("allowed: TCP shop → payments ledger", "payments: balance"),
        false => ("denied by identity: TCP intruder → ledger", ""),
    };
    let passed = if allowed { got.starts_with("payments:") } else { got.is_empty() };
    let got = if got.is_empty() { "closed".to_owned() } else { got };
    let expected = if allowed { expected.to_owned() } else { "closed".to_owned() };
    Ok(Row { step, expected, got, passed })
}

fn print(rows: &[Row]) {
    println!("\n{:<46}{:<38}{:<8}got", "step", "expected", "");
    for row in rows {
        println!(
            "{:<46}{:<38}{:<8}{}",
            row.step,
            row.expected,
            if row.passed { "ok" } else { "FAILED" },
            row.got
        );
    }
}
