//! Counting: what a step's output says about tests that passed, failed, or were not run.

/// Sums over all steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests and steps that passed.
    pub passed: u64,
    /// Tests and steps that failed.
    pub failed: u64,
    /// Tests that were not run, each with a printed reason.
    pub skipped: u64,
}

impl Tally {
    /// Reads the closing lines of `cargo test` and the `skipped: why` lines of tests that could not run.
    pub fn of_output(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            if let Some(rest) = line.trim_start().strip_prefix("test result: ") {
                for part in rest.split(['.', ';']) {
                    let mut words = part.split_whitespace();
                    let (Some(count), Some(what)) =
                        (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
                    else {
                        continue;
                    };
                    match what {
                        "passed" => tally.passed += count,
                        "failed" => tally.failed += count,
                        "ignored" => tally.skipped += count,
                        _ => {}
                    }
                }
            } else if line.starts_with("skipped: ") {
                // The test itself closed as passed; it is counted once, as what it was.
                tally.skipped += 1;
                tally.passed = tally.passed.saturating_sub(1);
            }
        }
        tally
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed_and_a_skipped_test_is_not_a_passed_one() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\nskipped: no rules here\n";
        assert_eq!(Tally::of_output(output), Tally { passed: 4, failed: 1, skipped: 2 });
    }
}
