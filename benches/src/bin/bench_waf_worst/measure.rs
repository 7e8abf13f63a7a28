//! One request on the two engines: processor time, work units, and how both grow with the size.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use palisade_benches::clock::process_ns;
use palisade_benches::recipes::Recipe;
use palisade_benches::waf::{Exchange, FILES, policy, rule_set};
use palisade_waf::Engine;
use palisade_waf::limits::WORK_UNITS;
use serde_json::json;

/// The engine with its fast path and without it.
pub struct Engines {
    fast: Arc<Engine>,
    slow: Arc<Engine>,
}

/// What judging one request costs.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Nanoseconds of processor time, the least of several.
    pub ns: f64,
    /// Work units that were charged.
    pub units: u64,
}

impl Measured {
    fn least(self, other: Self) -> Self {
        if other.ns < self.ns { other } else { self }
    }

    /// What one unit takes.
    pub fn ns_per_unit(&self) -> f64 {
        self.ns / self.units.max(1) as f64
    }
}

impl Engines {
    /// Compiles both.
    pub fn load(rules: &Path, paranoia: u8) -> Result<Self> {
        let (set, policy) = (rule_set(rules, &FILES)?, policy(paranoia));
        Ok(Self {
            fast: Arc::new(Engine::compile(&set, &policy)?),
            slow: Arc::new(Engine::compile_slow(&set, &policy)?),
        })
    }

    /// With the fast path.
    pub fn fast(&self, exchange: &Exchange, times: u32) -> Measured {
        measure(&self.fast, exchange, times)
    }

    /// Without it.
    pub fn slow(&self, exchange: &Exchange, times: u32) -> Measured {
        measure(&self.slow, exchange, times)
    }
}

fn measure(engine: &Arc<Engine>, exchange: &Exchange, times: u32) -> Measured {
    let (mut ns, mut units) = (f64::INFINITY, 0);
    for _ in 0..times {
        let begun = process_ns();
        let (transaction, _) = exchange.judge(engine);
        units = WORK_UNITS.saturating_sub(transaction.work_units_left());
        drop(transaction);
        ns = ns.min((process_ns() - begun) as f64);
    }
    Measured { ns, units }
}

/// How long one recipe is judged for, but at least three times and at most two hundred.
const TURNS_NS: f64 = 100e6;

/// Bytes of the two sizes that are compared.
const HALF: usize = 64 * 1024;
const WHOLE: usize = 128 * 1024 - 1024;

/// A recipe at its full size.
pub struct Worst {
    recipe: Recipe,
    bytes: [usize; 2],
    half: Measured,
    fast: Measured,
    slow: Measured,
}

impl Worst {
    /// Measures a recipe.
    pub fn measure(engines: &Engines, recipe: &Recipe) -> Result<Self> {
        let (half, whole) = (Exchange::of(&recipe.build(HALF))?, Exchange::of(&recipe.build(WHOLE))?);
        let (mut smaller, mut fast) = (engines.fast(&half, 1), engines.fast(&whole, 1));
        let mut slow = engines.slow(&whole, 1);
        // In turns, so that what else the machine does falls on all of them.
        let turns = (TURNS_NS / fast.ns.max(1.0)).clamp(2.0, 200.0) as u32;
        for _ in 0..turns {
            smaller = smaller.least(engines.fast(&half, 1));
            fast = fast.least(engines.fast(&whole, 1));
            slow = slow.least(engines.slow(&whole, 1));
        }
        let bytes = [half.bytes().len(), whole.bytes().len()];
        Ok(Self { recipe: recipe.clone(), bytes, half: smaller, fast, slow })
    }

    /// Nanoseconds a byte.
    pub fn ns_per_byte(&self) -> f64 {
        self.fast.ns / self.bytes[1].max(1) as f64
    }

    /// With the fast path, times without.
    pub fn ratio(&self) -> f64 {
        self.fast.ns / self.slow.ns
    }

    /// What twice the bytes cost. Heads do not grow with the size asked for: they count as they are.
    pub fn growth(&self) -> f64 {
        let bytes = self.bytes[1] as f64 / self.bytes[0].max(1) as f64;
        (self.fast.ns / self.half.ns) * (2.0 / bytes)
    }

    /// Work units that were charged.
    pub fn units(&self) -> u64 {
        self.fast.units
    }

    /// Nanoseconds a work unit.
    pub fn ns_per_unit(&self) -> f64 {
        self.fast.ns_per_unit()
    }

    /// As an object.
    pub fn json(&self) -> serde_json::Value {
        json!({"recipe": self.recipe.to_string(), "bytes": self.bytes[1], "ms": self.fast.ns / 1e6,
            "slow_ms": self.slow.ns / 1e6, "ns_per_byte": self.ns_per_byte(), "growth": self.growth(),
            "ns_per_unit": self.ns_per_unit(), "units": self.fast.units})
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>10.0} {:>10.2} {:>8.2} {:>8.2} {:>8.2} {:>9.2}  {}",
            self.ns_per_byte(),
            self.fast.ns / 1e6,
            self.ratio(),
            self.growth(),
            self.ns_per_unit(),
            self.fast.units as f64 / 1e6,
            self.recipe
        )
    }
}
