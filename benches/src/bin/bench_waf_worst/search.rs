//! Hill climbing on measured cost, with one population for each thing that can be bad: processor time a byte, the fast
//! path beside the straightforward evaluation, and processor time a work unit (which a budget would not see).

use std::time::Instant;

use anyhow::Result;
use palisade_benches::recipes::{Part, Place, Recipe};
use palisade_benches::waf::Exchange;

use super::measure::Engines;

/// Bytes of the requests that are tried; the worst are measured at full size.
const TRIAL_BYTES: usize = 12 * 1024;
/// Recipes of one population.
const POPULATION: usize = 16;
/// Recipes of each population that are given back.
const KEPT: usize = 5;
/// Requests cheaper than this say nothing about a ratio: the clock is too coarse.
const NOTABLE_NS: f64 = 300_000.0;
/// Bytes of one repeated text.
const UNIT_BYTES: usize = 160;

/// What regular expressions, transformations, detectors and parsers look at.
const TOKENS: [&str; 88] = [
    "!",
    "'",
    "\"",
    "<",
    ">",
    "/",
    "%25",
    "%",
    "&a=",
    "&",
    "=",
    ";",
    "|",
    "`",
    "\\",
    "$",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "#",
    "@",
    ",",
    ".",
    ":",
    "-",
    "+",
    "*",
    "?",
    "~",
    "^",
    "_",
    " ",
    "\t",
    "\n",
    "\0",
    "\u{80}",
    "\u{17f}",
    "a",
    "A",
    "1",
    "0",
    "x",
    "--",
    "/*",
    "*/",
    "/**/",
    "../",
    "..\\",
    "%u00",
    "%2e",
    "%252e",
    "&#x27;",
    "&lt;",
    "&colon;",
    "\\x41",
    "\\u0041",
    "\\074",
    "0x41",
    "union ",
    "select ",
    "sleep(",
    " or 1=1",
    "' or '",
    "char(",
    "<script",
    "<a ",
    "on=",
    "src=",
    "javascript:",
    "data:",
    "url(",
    "expression(",
    "${",
    "${jndi:",
    "{{",
    "$(",
    "/etc/",
    ".php",
    "cmd",
    "echo ",
    "php://",
    "eval(",
    "base64",
    "http://",
    "\r\n",
];

/// Runs until the deadline. Gives the worst of each population, and how many requests were tried.
pub fn run(
    engines: &Engines,
    seeds: Vec<Recipe>,
    seed: u64,
    deadline: Instant,
) -> Result<(Vec<Recipe>, u64)> {
    let mut random = Random(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut populations: [Vec<(f64, Recipe)>; 3] = Default::default();
    let mut tried = 0;
    let starts = TOKENS.iter().flat_map(|token| {
        let part = |place, fields| Part { place, fields, unit: token.as_bytes().to_vec() };
        [part(Place::Form, 1), part(Place::Form, 900)].map(|part| Recipe { parts: vec![part] })
    });
    let mut waiting: Vec<Recipe> = starts.collect();
    waiting.extend(seeds);
    while Instant::now() < deadline {
        let recipe = match waiting.pop() {
            Some(recipe) => recipe,
            None => mutated(&populations, &mut random),
        };
        // What cannot be a request (a header that is none) is no finding.
        let Ok(exchange) = Exchange::of(&recipe.build(TRIAL_BYTES)) else { continue };
        tried += 1;
        let (fast, slow) = (engines.fast(&exchange, 2), engines.slow(&exchange, 1));
        let ratio = if fast.ns < NOTABLE_NS { 0.0 } else { fast.ns / slow.ns };
        let unit = if fast.ns < NOTABLE_NS { 0.0 } else { fast.ns_per_unit() };
        let scores = [fast.ns / exchange.bytes().len().max(1) as f64, ratio, unit];
        for (population, score) in populations.iter_mut().zip(scores) {
            keep(population, score, &recipe);
        }
    }
    let mut worst: Vec<Recipe> = Vec::new();
    for (_, recipe) in populations.iter().flat_map(|population| population.iter().take(KEPT)) {
        if !worst.contains(recipe) {
            worst.push(recipe.clone());
        }
    }
    Ok((worst, tried))
}

/// Keeps a recipe if it is among the worst. One of a place and number of parts stands for those like it.
fn keep(population: &mut Vec<(f64, Recipe)>, score: f64, recipe: &Recipe) {
    let kind =
        |recipe: &Recipe| recipe.parts.iter().map(|part| (part.place, part.fields > 8)).collect::<Vec<_>>();
    let alike = kind(recipe);
    let same = population.iter().filter(|(_, other)| kind(other) == alike).count();
    if same >= 3 {
        // The cheapest of its kind makes room, or it is not kept.
        let cheapest = population.iter().rposition(|(_, other)| kind(other) == alike);
        match cheapest.and_then(|at| population.get_mut(at)) {
            Some(entry) if entry.0 < score => *entry = (score, recipe.clone()),
            _ => return,
        }
    } else {
        population.push((score, recipe.clone()));
    }
    population.sort_by(|a, b| b.0.total_cmp(&a.0));
    population.truncate(POPULATION);
}

fn mutated(populations: &[Vec<(f64, Recipe)>; 3], random: &mut Random) -> Recipe {
    let pick = |random: &mut Random| {
        let population = populations.get(random.below(3)).map(Vec::as_slice).unwrap_or_default();
        population.get(random.below(population.len())).map(|(_, recipe)| recipe.clone())
    };
    let Some(mut recipe) = pick(random) else { return Recipe { parts: vec![fresh(random)] } };
    for _ in 0..=random.below(3) {
        match random.below(12) {
            0 => {
                let part = fresh(random);
                if !(part.place.is_body() && recipe.parts.iter().any(|other| other.place.is_body())) {
                    recipe.parts.retain(|other| other.place != part.place);
                    recipe.parts.push(part);
                }
            }
            1 if recipe.parts.len() > 1 => {
                recipe.parts.remove(random.below(recipe.parts.len()));
            }
            2 => {
                if let Some(other) = pick(random) {
                    splice(&mut recipe, &other, random);
                }
            }
            _ => {
                let at = random.below(recipe.parts.len());
                if let Some(part) = recipe.parts.get_mut(at) {
                    change(part, random);
                }
            }
        }
    }
    recipe
}

/// A part of one token.
fn fresh(random: &mut Random) -> Part {
    let place = Place::ALL.get(random.below(Place::ALL.len())).map_or(Place::Form, |(place, _)| *place);
    Part { place, fields: fields(random), unit: token(random) }
}

fn fields(random: &mut Random) -> usize {
    [1, 1, 2, 8, 60, 300, 900].get(random.below(7)).copied().unwrap_or(1)
}

fn token(random: &mut Random) -> Vec<u8> {
    TOKENS.get(random.below(TOKENS.len())).map(|token| token.as_bytes().to_vec()).unwrap_or_default()
}

/// Takes over another's text.
fn splice(recipe: &mut Recipe, other: &Recipe, random: &mut Random) {
    let theirs = other.parts.get(random.below(other.parts.len())).map(|part| part.unit.clone());
    let at = random.below(recipe.parts.len());
    if let (Some(part), Some(theirs)) = (recipe.parts.get_mut(at), theirs) {
        part.unit.extend_from_slice(&theirs);
        part.unit.truncate(UNIT_BYTES);
    }
}

fn change(part: &mut Part, random: &mut Random) {
    let at = random.below(part.unit.len() + 1);
    match random.below(8) {
        0..=2 => {
            part.unit.splice(at..at, token(random));
        }
        3 => {
            let end = (at + 1 + random.below(4)).min(part.unit.len());
            part.unit.drain(at.min(end)..end);
        }
        4 => {
            let end = (at + 1).min(part.unit.len());
            part.unit.splice(at.min(end)..end, token(random));
        }
        5 => part.fields = fields(random),
        6 => {
            let place = Place::ALL.get(random.below(Place::ALL.len())).map(|(place, _)| *place);
            if let Some(place) = place.filter(|place| place.is_body() == part.place.is_body()) {
                part.place = place;
            }
        }
        _ => part.unit.extend_from_within(..),
    }
    part.unit.truncate(UNIT_BYTES);
}

/// xorshift64: small, and the same in every run of one seed.
struct Random(u64);

impl Random {
    /// A number below `end`; 0 if there is none.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }
}
