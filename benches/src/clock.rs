//! The processor time of this process: what a piece of work costs, however busy the machine is.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of processor time that all threads of this process have used.
pub fn process_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
