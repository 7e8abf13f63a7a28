//! What a rule set may cost to compile. Work is counted, not timed, so that a rule set compiles everywhere or nowhere.
//!
//! Promises: directives that look at every rule, and `ctl` that names thousands of them, end in bounded time and
//! memory, with the place where the limit was passed.

use palisade_seclang::Span;

use super::Compilation;

/// Work units of one compilation: about one for each rule, tag or byte that is looked at. CRS 4.28 with its plugins'
/// exclusions takes under a million.
pub const COMPILE_UNITS: usize = 200_000_000;
/// Units for each target or action that an update adds to a rule: they stay in memory.
pub(super) const ADDED: usize = 200;
/// Units for each rule that a `ctl` names: the list stays in memory.
pub(super) const NAMED: usize = 20;
/// Units for each rule whose tags or message are compared.
pub(super) const COMPARED: usize = 64;

impl Compilation<'_> {
    /// Takes units. Whether there were enough; the first time that there are not is reported.
    pub(super) fn spend(&mut self, units: usize, span: Span) -> bool {
        let before = self.units;
        self.units = before.saturating_add(units);
        if before <= COMPILE_UNITS && self.units > COMPILE_UNITS {
            let problem =
                "removals, updates, ctl and data files of the rule set take too much work up to here";
            self.refuse(span, &format!("{problem}: the limit is {COMPILE_UNITS} units"));
        }
        self.units <= COMPILE_UNITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_up_to_the_limit_is_done_and_what_passes_it_is_told_once() {
        let ast = palisade_seclang::parse(&[], &palisade_seclang::NoSources).unwrap();
        let mut compilation = Compilation::new(&ast);
        let place = Span { file: 0, start: 0, end: 0 };
        assert!(compilation.spend(COMPILE_UNITS - 1, place), "under");
        assert!(compilation.spend(1, place), "at");
        assert!(compilation.problems.is_empty());
        assert!(!compilation.spend(1, place), "over");
        assert!(!compilation.spend(usize::MAX, place));
        assert_eq!(compilation.problems.len(), 1);
    }
}
