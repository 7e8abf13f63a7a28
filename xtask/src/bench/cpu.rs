//! Processor time and memory of a program and its children, from /proc.

use std::fs;

use anyhow::{Context, Result};

/// Kernel clock ticks a second; 100 on every Linux we run on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time the process and its children have used.
pub fn seconds(process: u32) -> Result<f64> {
    let mut ticks = 0;
    for id in family(process) {
        ticks += stat_ticks(id).unwrap_or(0);
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Resident memory of the process and its children, in MiB. Shared pages count for each.
pub fn resident_mib(process: u32) -> Result<f64> {
    let mut kib = 0;
    for id in family(process) {
        let status = fs::read_to_string(format!("/proc/{id}/status")).context("the program has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        kib += line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
    }
    Ok(kib as f64 / 1024.0)
}

fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    all
}

/// utime + stime, fields 14 and 15 of /proc/PID/stat (proc_pid_stat(5)); the name in field 2 may hold spaces.
fn stat_ticks(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
