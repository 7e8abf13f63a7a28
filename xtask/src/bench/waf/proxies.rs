//! End to end: palisade-proxy with the WAF on and off, nginx with and without libmodsecurity, the processor time of
//! each proxy per request.
//!
//! nginx and its connector are the distribution's, with the distribution's libmodsecurity. Before it is measured, the
//! error log of an nginx that logs more shows for each shape which rules fired, and so does the audit log of a Palisade.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use palisade_tests::process::wait_until;
use serde_json::Value;

use super::{Effort, text};
use crate::bench::leg::{Contender, Shape};
use crate::bench::{cpu, peers};

/// CRS's rule that refuses a request for its score.
const BLOCKING_RULE: u64 = 949_110;

/// CRS's rule that reports the score of a refused request.
const REPORT: u64 = 980_170;

/// The cost of one proxy for one shape.
pub struct ProxyLeg {
    pub shape: String,
    pub paranoia: u8,
    pub proxy: String,
    /// Microseconds of processor time per request, the cheapest leg.
    pub us: f64,
    pub rate: f64,
    pub resident_mib: f64,
}

/// Measures all proxies at one level.
pub fn compare(
    programs: &Path,
    dir: &Path,
    paranoia: u8,
    shapes: &[Value],
    effort: Effort,
) -> Result<Vec<ProxyLeg>> {
    let origin = peers::free_address()?;
    let mut command = Command::new(programs.join("bench-origin"));
    command.args(["--listen", &origin.to_string()]);
    let _origin = peers::start("origin", command, origin, dir)?;
    palisade_fires(programs, dir, origin, paranoia, shapes)?;
    let mut contenders = vec![
        palisade(programs, dir, origin, "palisade+waf", Some(paranoia))?,
        palisade(programs, dir, origin, "palisade", None)?,
    ];
    match (peers::find("nginx"), module()) {
        (Some(nginx), Some(module)) => {
            let modsecurity = (module.as_path(), paranoia);
            fires(programs, dir, &nginx, origin, modsecurity, shapes)?;
            contenders.push(start_nginx(dir, &nginx, "nginx+modsec", origin, Some(modsecurity), "error")?);
            contenders.push(start_nginx(dir, &nginx, "nginx", origin, None, "error")?);
        }
        _ => println!("nginx+modsec: not run: nginx or its ModSecurity module is not installed"),
    }
    println!(
        "\nend to end, paranoia level {paranoia}: microseconds of processor time per request, cheapest leg (share of the WAF)"
    );
    print!("{:<16}", "shape");
    contenders.iter().for_each(|contender| print!("{:>20}", contender.name));
    println!("{:>22}", "WAF: nginx/palisade");
    let mut legs = Vec::new();
    for shape in shapes {
        legs.extend(one_shape(programs, dir, paranoia, shape, &mut contenders, effort)?);
    }
    for contender in &contenders {
        println!("{}: {:.1} MiB resident", contender.name, cpu::resident_mib(contender.program.id())?);
    }
    Ok(legs)
}

/// The legs of one shape.
fn one_shape(
    programs: &Path,
    dir: &Path,
    paranoia: u8,
    shape: &Value,
    contenders: &mut [Contender],
    effort: Effort,
) -> Result<Vec<ProxyLeg>> {
    let name = text(shape, "name");
    let file = dir.join(format!("{name}.json"));
    std::fs::write(&file, shape.to_string())?;
    for contender in contenders.iter_mut() {
        contender.legs.clear();
    }
    for round in 0..=effort.proxy_rounds {
        for contender in contenders.iter_mut() {
            let judge = match contender.name.as_str() {
                "palisade+waf" => Some("palisade"),
                "nginx+modsec" => Some("modsecurity"),
                _ => None,
            };
            let blocked =
                judge.is_some_and(|judge| expected(shape, judge, paranoia).contains(&BLOCKING_RULE));
            let load = Shape {
                request: Some(&file),
                expect: if blocked { 403 } else { 200 },
                ..Shape::plain(if round == 0 { 0.2 } else { effort.seconds }, 8)
            };
            contender.run(&programs.join("bench-load"), load)?;
            if round == 0 {
                contender.legs.clear();
            }
        }
    }
    let least = |name: &str| contenders.iter().find(|it| it.name == name).map_or(f64::NAN, Contender::best);
    let ours = least("palisade+waf") - least("palisade");
    let theirs = least("nginx+modsec") - least("nginx");
    print!("{name:<16}");
    for contender in contenders.iter() {
        print!("{:>20.1}", contender.best());
    }
    println!("{:>22}", format!("{theirs:.0} / {ours:.0} = {:.1}x", theirs / ours));
    let legs = contenders.iter().map(|contender| {
        Ok(ProxyLeg {
            shape: name.to_owned(),
            paranoia,
            proxy: contender.name.clone(),
            us: contender.best(),
            rate: contender.rate(),
            resident_mib: cpu::resident_mib(contender.program.id())?,
        })
    });
    legs.collect()
}

/// The rules that must fire.
fn expected(shape: &Value, judge: &str, paranoia: u8) -> BTreeSet<u64> {
    let ids = shape.get(judge).and_then(|levels| levels.get(paranoia.to_string())).and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// palisade-proxy with one worker, with CRS at a level or without a WAF.
fn palisade(
    programs: &Path,
    dir: &Path,
    origin: SocketAddr,
    name: &str,
    paranoia: Option<u8>,
) -> Result<Contender> {
    let (listen, admin) = (peers::free_address()?, peers::free_address()?);
    let mut text = format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: Policy\nworkload: {{namespace: bench, name: server}}\nadmin: \"{admin}\"\n\
         listeners: [{{name: bench, address: \"{listen}\", role: {{gateway: {{}}}}}}]\n\
         routes: [{{name: all, listeners: [bench], backends: [{{cluster: origin}}]}}]\n\
         clusters: [{{name: origin, endpoints: [{{address: \"{origin}\"}}]}}]\n"
    );
    let audited = name == CHECKED;
    if let Some(level) = paranoia {
        let audit = if audited { "audit.conf, " } else { "" };
        text += &format!(
            "waf:\n- apiVersion: palisade.dev/v1alpha1\n  kind: WafPolicy\n  metadata: {{name: bench, namespace: bench}}\n  \
             spec: {{ruleSet: crs, paranoiaLevel: {level}}}\n\
             ruleSetPaths:\n- {{name: crs, namespace: bench, directory: rules, \
             include: [base.conf, {audit}crs-setup.conf, \"rules/*.conf\"]}}\n"
        );
    }
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, text)?;
    let mut command = Command::new(programs.join("palisade-proxy"));
    command.arg("--policy").arg(&file).args(["--workers", "1"]);
    if audited {
        command.arg("--audit-log").arg(dir.join("audit.log"));
    }
    peers::start(name, command, listen, dir)
}

/// The Palisade that says in its audit log which rules fired.
const CHECKED: &str = "palisade-check";

/// Shows in a Palisade with an audit log that the expected rules fire, and no other.
fn palisade_fires(
    programs: &Path,
    dir: &Path,
    origin: SocketAddr,
    paranoia: u8,
    shapes: &[Value],
) -> Result<()> {
    std::fs::write(dir.join("rules/audit.conf"), "SecAuditEngine On\nSecAuditLogParts ABHKZ\n")?;
    let log = dir.join("audit.log");
    let _ = std::fs::remove_file(&log);
    let contender = palisade(programs, dir, origin, CHECKED, Some(paranoia))?;
    for (number, shape) in shapes.iter().enumerate() {
        let wanted = expected(shape, "palisade", paranoia);
        once(programs, dir, contender.address, shape, wanted.contains(&BLOCKING_RULE))?;
        let mut line = None;
        wait_until("a line of the audit log", 10, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            line = text.lines().nth(number).filter(|_| text.ends_with('\n')).map(str::to_owned);
            Ok(line.is_some())
        })?;
        let line: Value = serde_json::from_str(&line.unwrap_or_default())?;
        let matches = line.get("K").and_then(Value::as_array).context("section K")?;
        let ids = matches.iter().filter_map(|found| found.get("id").and_then(Value::as_u64));
        // The report of the score asks to be left out of the audit log.
        let fired: BTreeSet<u64> = ids.filter(|id| *id != REPORT).collect();
        let wanted: BTreeSet<u64> = wanted.into_iter().filter(|id| *id != REPORT).collect();
        ensure!(fired == wanted, "palisade, {}: fired {fired:?}, expected {wanted:?}", text(shape, "name"));
    }
    Ok(())
}

/// Sends a shape once and checks the status of the answer.
fn once(programs: &Path, dir: &Path, address: SocketAddr, shape: &Value, refused: bool) -> Result<()> {
    let name = text(shape, "name");
    let file = dir.join(format!("{name}.json"));
    std::fs::write(&file, shape.to_string())?;
    let status = if refused { "403" } else { "200" };
    let mut load = Command::new(programs.join("bench-load"));
    load.args(["--target", &address.to_string(), "--connections", "1", "--requests", "1"]);
    let output = load.args(["--expect", status, "--request"]).arg(&file).output()?;
    let answer = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && answer.contains("\"wrong\":0"),
        "{name}: the answer is not {status}: {answer}"
    );
    Ok(())
}

/// nginx's connector to libmodsecurity.
fn module() -> Option<PathBuf> {
    let places = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/nginx/modules"];
    let mut paths = places.iter().map(|place| Path::new(place).join("ngx_http_modsecurity_module.so"));
    paths.find(|path| path.is_file())
}

/// nginx with one worker; bodies stay in memory.
fn start_nginx(
    dir: &Path,
    binary: &Path,
    name: &str,
    origin: SocketAddr,
    modsecurity: Option<(&Path, u8)>,
    log_level: &str,
) -> Result<Contender> {
    let listen = peers::free_address()?;
    let prefix = dir.display();
    let (load, on) = match modsecurity {
        Some((module, level)) => (
            format!("load_module {};", module.display()),
            format!("modsecurity on; modsecurity_rules_file {prefix}/rules/paranoia-{level}.conf;"),
        ),
        None => (String::new(), String::new()),
    };
    let _ = std::fs::remove_file(dir.join(format!("{name}.error")));
    let configuration = format!(
        "{load}\ndaemon off; worker_processes 1; pid {prefix}/{name}.pid; error_log {prefix}/{name}.error {log_level};\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_buffer_size 256k; {on}\n\
           client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;\n\
           uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;\n\
           upstream origin {{ server {origin}; keepalive 64; keepalive_requests 1000000000; }}\n\
           server {{ listen {listen};\n\
             location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
               proxy_set_header Host $host; }} }} }}\n"
    );
    let file = dir.join(format!("{name}.conf"));
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&file).arg("-e").arg(dir.join(format!("{name}.start")));
    peers::start(name, command, listen, dir)
}

/// Shows in an nginx that logs each rule that the expected rules fire, and no other.
fn fires(
    programs: &Path,
    dir: &Path,
    binary: &Path,
    origin: SocketAddr,
    modsecurity: (&Path, u8),
    shapes: &[Value],
) -> Result<()> {
    let contender = start_nginx(dir, binary, "nginx-check", origin, Some(modsecurity), "info")?;
    let log = dir.join("nginx-check.error");
    for shape in shapes {
        let name = text(shape, "name");
        let wanted = expected(shape, "modsecurity", modsecurity.1);
        let before = std::fs::metadata(&log).map_or(0, |file| file.len() as usize);
        once(programs, dir, contender.address, shape, wanted.contains(&BLOCKING_RULE))?;
        let text = std::fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(text.get(before..).unwrap_or_default()).into_owned();
        let fired: Result<BTreeSet<u64>> = text
            .split("[id \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default().parse().context("an id in nginx's log"))
            .collect();
        let fired = fired?;
        ensure!(fired == wanted, "nginx+modsec, {name}: fired {fired:?}, expected {wanted:?}");
    }
    Ok(())
}
