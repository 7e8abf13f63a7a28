//! Every test of a suite, several at once, and the tally.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::expect::{self, Outcome};
use crate::overrides::{MOST, Overrides};
use crate::request;
use crate::suite::{Input, Named, Stage};

/// Tests in a thousand, of those that are not overridden, that must pass.
pub const FLOOR_PER_MILLE: usize = 995;

/// A way to run a stage.
pub trait Runner: Sync {
    /// Sends the bytes; `answered` says whether an answer is expected.
    fn run(&self, bytes: &[u8], answered: bool) -> Result<Outcome>;
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Tests that passed, of those that are not overridden.
    pub passed: usize,
    /// All tests.
    pub total: usize,
    /// Tests that are overridden.
    pub overridden: usize,
    /// Each test that failed and is not overridden, with what was wrong.
    pub failures: Vec<(String, String)>,
    /// What is wrong with the list of overrides.
    pub complaints: Vec<String>,
}

impl Tally {
    /// Whether enough passed, and the list of overrides is as it should be.
    pub fn is_good(&self) -> bool {
        let judged = self.total.saturating_sub(self.overridden);
        let enough = self.passed * 1000 >= judged * FLOOR_PER_MILLE;
        self.total > 0 && enough && self.overridden <= MOST && self.complaints.is_empty()
    }

    /// A line per failure, and the last line.
    pub fn print(&self) {
        for (name, why) in &self.failures {
            println!("{name}: {why}");
        }
        for complaint in &self.complaints {
            println!("overrides: {complaint}");
        }
        println!("crs: {} of {} passed, {} overridden", self.passed, self.total, self.overridden);
    }
}

/// Whether a test passes, or why not; or that the harness failed.
type Verdict = Result<Result<(), String>>;

/// Runs every test, `workers` at once.
pub fn all(suite: &[Named], overrides: &Overrides, runner: &dyn Runner, workers: usize) -> Result<Tally> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Verdict)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = suite.get(at) else { return };
                    let result = passes(test, runner);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    let mut tally = Tally { total: suite.len(), ..Tally::default() };
    for (test, (_, result)) in suite.iter().zip(results) {
        match (result?, overrides.reason(&test.name)) {
            (Ok(()), None) => tally.passed += 1,
            (Err(why), None) => tally.failures.push((test.name.clone(), why)),
            (Err(_), Some(_)) => tally.overridden += 1,
            (Ok(()), Some(_)) => {
                tally.overridden += 1;
                tally.complaints.push(format!("{} passes: take it off the list", test.name));
            }
        }
    }
    let unknown = overrides.unknown(suite).into_iter().map(|name| format!("{name} names no test"));
    tally.complaints.extend(unknown);
    Ok(tally)
}

/// Whether every stage does as it should; the error of the outside is that of the harness.
fn passes(test: &Named, runner: &dyn Runner) -> Verdict {
    let stages = match &test.stages {
        Ok(stages) => stages,
        Err(why) => return Ok(Err(why.clone())),
    };
    let mut memory = Memory::default();
    for (number, stage) in stages.iter().enumerate() {
        let mut result = once(stage, &mut memory, runner)?;
        if result.is_err() && stage.output.retry_once {
            result = once(stage, &mut memory, runner)?;
        }
        if let Err(why) = result {
            let place = if stages.len() > 1 { format!("stage {}: ", number + 1) } else { String::new() };
            return Ok(Err(format!("{place}{why}")));
        }
    }
    Ok(Ok(()))
}

/// What a test remembers from stage to stage.
#[derive(Default)]
struct Memory {
    cookies: String,
    location: Option<String>,
}

fn once(stage: &Stage, memory: &mut Memory, runner: &dyn Runner) -> Verdict {
    let input = match followed(&stage.input, memory) {
        Ok(input) => input,
        Err(why) => return Ok(Err(why)),
    };
    let bytes = match request::bytes(&input, &memory.cookies) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Err(why)),
    };
    let outcome = runner.run(&bytes, stage.output.expect_error != Some(true))?;
    if let Ok(answer) = &outcome.answer {
        memory.location = answer.header("location").map(str::to_owned);
        if stage.input.save_cookie {
            let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
            let pairs: Vec<&str> = set.filter_map(|(_, value)| value.split(';').next()).collect();
            memory.cookies = pairs.join("; ");
        }
    }
    Ok(expect::check(&stage.output, &outcome))
}

/// The input, gone where the last answer sent it if the stage says so.
fn followed(input: &Input, memory: &Memory) -> Result<Input, String> {
    let mut input = input.clone();
    if !input.follow_redirect {
        return Ok(input);
    }
    let location = memory.location.as_deref().ok_or("there is no Location to follow")?;
    let Some((_, rest)) = location.split_once("://") else {
        input.uri = location.to_owned();
        return Ok(input);
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    input.uri = format!("/{path}");
    input.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    input.headers.push(("Host".into(), host.to_owned()));
    Ok(input)
}

#[cfg(test)]
mod tests {
    use palisade_tests::wire::Answer;

    use super::*;
    use crate::log::Line;

    struct Echo;

    /// Rule 1 matches what has an `x`; the answer sets a cookie and sends on.
    impl Runner for Echo {
        fn run(&self, bytes: &[u8], _answered: bool) -> Result<Outcome> {
            let text = String::from_utf8_lossy(bytes);
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let headers = vec![pair("set-cookie", "a=b; path=/"), pair("location", "http://h.example/next")];
            let answer = Answer { status: 200, headers, raw: bytes.to_vec(), ..Answer::default() };
            let log = text.contains('x').then(|| Line { id: 1, text: "[id \"1\"]".into() });
            Ok(Outcome { answer: Ok(answer), log: log.into_iter().collect() })
        }
    }

    fn test(name: &str, stages: &str) -> Named {
        Named { name: name.into(), rule: 1, stages: Ok(serde_saphyr::from_str(stages).unwrap()) }
    }

    #[test]
    fn overridden_tests_are_not_passed_and_must_be_needed() {
        let suite = [
            test("1-1", "[{input: {uri: /x}, output: {log: {expect_ids: [1]}}}]"),
            test("1-2", "[{input: {uri: /y}, output: {log: {expect_ids: [1]}}}]"),
        ];
        let tally = all(&suite, &Overrides::default(), &Echo, 2).unwrap();
        assert_eq!((tally.passed, tally.total, tally.overridden), (1, 2, 0));
        assert!(!tally.is_good());
        let directory = tempfile::tempdir().unwrap();
        let list = |text: &str| {
            let file = directory.path().join("list.yaml");
            std::fs::write(&file, text).unwrap();
            all(&suite, &Overrides::read(&file).unwrap(), &Echo, 1).unwrap()
        };
        let tally = list("- {test: 1-2, reason: not a request at all}");
        assert_eq!((tally.passed, tally.overridden, tally.is_good()), (1, 1, true));
        let tally = list("- {test: 1-1, reason: not a request at all}");
        assert_eq!((tally.passed, tally.overridden, tally.is_good()), (0, 1, false));
        let tally =
            list("- {test: 1-2, reason: not a request at all}\n- {test: 1-9, reason: not a request at all}");
        assert!(!tally.is_good() && tally.complaints[0].contains("1-9"));
    }

    #[test]
    fn stages_keep_cookies_and_follow_where_they_are_sent() {
        let stages = "[{input: {save_cookie: true}, output: {status: 200}}, \
                       {input: {follow_redirect: true}, output: {response_contains: \
                        'GET /next HTTP/1.1\\r\\nHost: h.example\\r\\nCookie: a=b'}}]";
        let tally = all(&[test("1-1", stages)], &Overrides::default(), &Echo, 1).unwrap();
        assert_eq!(tally.failures, []);
    }
}
