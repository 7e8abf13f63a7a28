//! What a stage expects against what came of it.

use palisade_tests::wire::Answer;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::log::Line;
use crate::suite::Output;

/// What came of a stage.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, or why there was none.
    pub answer: Result<Answer, String>,
    /// The rules that matched, in order.
    pub log: Vec<Line>,
}

impl Outcome {
    fn ids(&self) -> Vec<u64> {
        self.log.iter().map(|line| line.id).collect()
    }

    /// What came of it, for people.
    fn shown(&self) -> String {
        let mut text = format!("matched {:?}", self.ids());
        if let Ok(answer) = &self.answer {
            text.push_str(&format!(", status {}", answer.status));
            if answer.status >= 400 && self.log.is_empty() {
                text.push_str(&format!(" {:?}", String::from_utf8_lossy(&answer.body)));
            }
        }
        text
    }
}

/// Compares; the error says what is not as expected.
pub fn check(output: &Output, outcome: &Outcome) -> Result<(), String> {
    if output.expect_error == Some(true) {
        return match &outcome.answer {
            Ok(answer) => Err(format!("answered with {} where no answer is expected", answer.status)),
            Err(_) => Ok(()),
        };
    }
    let answer = outcome.answer.as_ref().map_err(|why| format!("no answer: {why}"))?;
    if let Some(status) = output.status
        && status != answer.status
    {
        return Err(format!("status {status} is expected: {}", outcome.shown()));
    }
    if let Some(pattern) = &output.response_contains
        && !finds(pattern, &answer.raw)?
    {
        return Err(format!("the answer has no {pattern:?}"));
    }
    check_log(output, outcome)
}

fn check_log(output: &Output, outcome: &Outcome) -> Result<(), String> {
    let ids = outcome.ids();
    let log = &output.log;
    if let Some(missing) = log.expect_ids.iter().find(|id| !ids.contains(id)) {
        return Err(format!("{missing} is missing: {}", outcome.shown()));
    }
    if let Some(wrong) = log.no_expect_ids.iter().find(|id| ids.contains(id)) {
        return Err(format!("{wrong} matched: {}", outcome.shown()));
    }
    let some_line = |pattern: &String| -> Result<bool, String> {
        for line in &outcome.log {
            if finds(pattern, line.text.as_bytes())? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    for pattern in [&log.match_regex, &output.log_contains].into_iter().flatten() {
        if !some_line(pattern)? {
            return Err(format!("no line has {pattern:?}: {}", outcome.shown()));
        }
    }
    for pattern in [&log.no_match_regex, &output.no_log_contains].into_iter().flatten() {
        if some_line(pattern)? {
            return Err(format!("a line has {pattern:?}: {}", outcome.shown()));
        }
    }
    if output.isolated {
        let mut distinct = ids;
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() != 1 {
            return Err(format!("{distinct:?} matched where one rule is expected"));
        }
    }
    Ok(())
}

fn finds(pattern: &str, text: &[u8]) -> Result<bool, String> {
    let regex = Regex::builder()
        .syntax(syntax::Config::new().utf8(false))
        .build(pattern)
        .map_err(|error| format!("pattern {pattern:?}: {error}"))?;
    Ok(regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, ids: &[u64]) -> Outcome {
        let line = |id: &u64| Line { id: *id, text: format!("[id \"{id}\"] [msg \"m{id}\"]") };
        let answer = Answer { status, raw: b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec(), ..Answer::default() };
        Outcome { answer: Ok(answer), log: ids.iter().map(line).collect() }
    }

    fn result(output: &str, outcome: &Outcome) -> Result<(), String> {
        check(&serde_saphyr::from_str(output).unwrap(), outcome)
    }

    #[test]
    fn ids_status_answer_and_patterns_are_compared() {
        let found = outcome(200, &[1, 2]);
        for (output, good) in [
            ("{log: {expect_ids: [1, 2]}}", true),
            ("{log: {expect_ids: [1, 3]}}", false),
            ("{log: {no_expect_ids: [3]}}", true),
            ("{log: {no_expect_ids: [3, 2]}}", false),
            ("{status: 200}", true),
            ("{status: 400}", false),
            ("{response_contains: 'hel+o'}", true),
            ("{response_contains: 'bye'}", false),
            ("{log: {match_regex: 'id \"2\".*m2'}}", true),
            ("{log: {match_regex: 'm1.*m2'}}", false),
            ("{log: {no_match_regex: 'm3'}}", true),
            ("{log: {no_match_regex: 'm2'}}", false),
            ("{no_log_contains: 'm1'}", false),
            ("{isolated: true, log: {expect_ids: [1]}}", false),
            ("{expect_error: true}", false),
            ("{expect_error: false}", true),
        ] {
            assert_eq!(result(output, &found).is_ok(), good, "{output}");
        }
        assert!(result("{isolated: true, log: {expect_ids: [1]}}", &outcome(200, &[1, 1])).is_ok());
    }

    #[test]
    fn no_answer_is_a_failure_unless_it_is_expected() {
        let none = Outcome { answer: Err("closed".into()), log: Vec::new() };
        assert!(result("{expect_error: true}", &none).is_ok());
        assert!(result("{log: {no_expect_ids: [1]}}", &none).is_err());
    }
}
