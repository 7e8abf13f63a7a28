//! How much work one transaction may cost. Work is counted, not timed, so that a verdict never depends on the machine.
//!
//! Promises: what is charged once stays charged; when the budget is used up the transaction ends, it never goes on
//! with half of its rules.

use crate::limits::{EVALUATION_UNITS, WORK_UNITS};

/// What is left.
#[derive(Clone, Debug)]
pub(crate) struct WorkBudget {
    left: u64,
    exhausted: Option<&'static str>,
}

impl Default for WorkBudget {
    fn default() -> Self {
        Self::of(WORK_UNITS)
    }
}

impl WorkBudget {
    /// A budget of so many units.
    pub(crate) fn of(units: u64) -> Self {
        Self { left: units, exhausted: None }
    }

    /// Charges one evaluation on `bytes` bytes.
    pub(crate) fn evaluation(&mut self, bytes: usize) {
        self.bytes(bytes);
        self.spend(EVALUATION_UNITS);
    }

    /// Charges bytes that are examined or copied.
    pub(crate) fn bytes(&mut self, bytes: usize) {
        self.spend(bytes as u64);
    }

    /// Charges units that were counted elsewhere.
    pub(crate) fn units(&mut self, units: u64) {
        self.spend(units);
    }

    /// What is left.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    fn spend(&mut self, units: u64) {
        match self.left.checked_sub(units) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                self.exhaust("the work units of one transaction are used up");
            }
        }
    }

    /// Ends the transaction because another limit is passed.
    pub(crate) fn exhaust(&mut self, why: &'static str) {
        self.exhausted.get_or_insert(why);
    }

    /// Why the transaction must end.
    pub(crate) fn exhausted(&self) -> Option<&'static str> {
        self.exhausted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lasts_to_its_last_unit_and_not_one_further() {
        let mut budget = WorkBudget::of(EVALUATION_UNITS + 10);
        budget.evaluation(9);
        assert_eq!(budget.exhausted(), None, "one under");
        budget.bytes(1);
        assert_eq!(budget.exhausted(), None, "at the limit");
        budget.bytes(1);
        assert!(budget.exhausted().is_some(), "one over");
    }

    #[test]
    fn an_exhausted_budget_keeps_its_first_reason() {
        let mut budget = WorkBudget::of(0);
        budget.exhaust("first");
        budget.bytes(1);
        assert_eq!(budget.exhausted(), Some("first"));
    }
}
