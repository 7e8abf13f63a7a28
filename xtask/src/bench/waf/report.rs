//! The tables, and the JSON object of the last line.

use serde_json::{Map, Value, json};

use super::engines::{JIT, OURS, SHIPPED, SYSTEM};
use super::proxies::ProxyLeg;
use super::{FLOOR_SHAPE, Floor, Loaded, Row};

/// Prints the table of one level.
pub fn engines(paranoia: u8, rows: &[Row], loaded: &[Loaded], floor: &Floor) {
    println!(
        "\nin process, paranoia level {paranoia}: microseconds of processor time per request, cheapest leg (median)"
    );
    print!("{:<16}", "shape");
    for engine in loaded {
        print!("{:>30}", engine.name);
    }
    println!();
    for row in rows {
        print!("{:<16}", row.shape);
        for engine in loaded {
            let Some(cost) = row.cost(engine.name) else { continue };
            let ratio = match row.ratio(engine.name) {
                Some(ratio) if engine.name != OURS => format!(" {ratio:>5.1}x"),
                _ => String::new(),
            };
            print!("{:>30}", format!("{:.1} ({:.1}){ratio}", cost.least, cost.median));
        }
        println!();
    }
    for engine in loaded {
        println!(
            "{}: {}; rules loaded in {:.0} ms of processor time, {:.1} MiB resident",
            engine.name,
            engine.version,
            engine.load_ms,
            engine.resident_kib as f64 / 1024.0
        );
    }
    println!(
        "floor of {FLOOR_SHAPE}: head {:.1} us, one scan {:.1} us; judging it costs {:.1} times both (goal 3)",
        floor.parse, floor.scan, floor.times
    );
}

/// Everything as one object. The ratio is how many times cheaper ours is.
pub fn json(
    rows: &[Row],
    loaded: &[Loaded],
    floors: &[Floor],
    legs: &[ProxyLeg],
    missing: &[String],
) -> Value {
    let round = |value: f64| (value * 100.0).round() / 100.0;
    let shapes = rows.iter().map(|row| {
        let mut fields = Map::new();
        fields.insert("shape".into(), json!(row.shape));
        fields.insert("attack".into(), json!(row.attack));
        fields.insert("paranoia".into(), json!(row.paranoia));
        let names = [
            (OURS, "palisade"),
            (SHIPPED, "libmodsecurity"),
            (JIT, "libmodsecurity_jit"),
            (SYSTEM, "libmodsecurity_system"),
        ];
        for (engine, name) in names {
            let Some(cost) = row.cost(engine) else { continue };
            fields.insert(format!("{name}_us"), json!(round(cost.least)));
            fields.insert(format!("{name}_median_us"), json!(round(cost.median)));
            if let Some(ratio) = row.ratio(engine).filter(|_| engine != OURS) {
                fields.insert(format!("ratio_{name}"), json!(round(ratio)));
            }
        }
        Value::Object(fields)
    });
    let engines = loaded.iter().map(|engine| {
        json!({"name": engine.name, "version": engine.version, "paranoia": engine.paranoia,
            "load_ms": round(engine.load_ms), "resident_kib": engine.resident_kib})
    });
    let proxies = legs.iter().map(|leg| {
        json!({"shape": leg.shape, "paranoia": leg.paranoia, "proxy": leg.proxy, "us": round(leg.us),
            "requests_per_second": leg.rate.round(), "resident_mib": round(leg.resident_mib)})
    });
    let floors = floors.iter().map(|floor| {
        json!({"shape": FLOOR_SHAPE, "paranoia": floor.paranoia, "parse_us": round(floor.parse),
            "scan_us": round(floor.scan), "times": round(floor.times)})
    });
    json!({
        "floors": floors.collect::<Vec<_>>(),
        "shapes": shapes.collect::<Vec<_>>(), "engines": engines.collect::<Vec<_>>(),
        "proxies": proxies.collect::<Vec<_>>(), "not_run": missing,
    })
}
