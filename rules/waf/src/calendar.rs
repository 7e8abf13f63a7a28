//! The `TIME*` variables from a time since the epoch. UTC; the engine has no clock and no time zone.

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// E.g. 2026.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    /// 0 (Sunday) to 6.
    pub(crate) weekday: u64,
    /// 0 to 23.
    pub(crate) hour: u64,
    /// 0 to 59.
    pub(crate) minute: u64,
    /// 0 to 59.
    pub(crate) second: u64,
}

impl Moment {
    /// Takes a time in milliseconds since the epoch apart (proleptic Gregorian calendar).
    pub(crate) fn of(time_ms: u64) -> Self {
        let seconds = time_ms / 1000;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // Days are counted from 0000-03-01, so that the leap day is a year's last and months have a regular length.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self {
            year: i64::try_from(year).unwrap_or(i64::MAX),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            weekday: (days + 4) % 7,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_taken_apart() {
        let moment = Moment::of(951_826_154_000);
        assert_eq!((moment.year, moment.month, moment.day), (2000, 2, 29));
        assert_eq!((moment.hour, moment.minute, moment.second, moment.weekday), (12, 9, 14, 2));
        let epoch = Moment::of(0);
        assert_eq!((epoch.year, epoch.month, epoch.day, epoch.weekday), (1970, 1, 1, 4));
        let last = Moment::of(4_102_444_799_999);
        assert_eq!((last.year, last.month, last.day, last.hour), (2099, 12, 31, 23));
    }
}
