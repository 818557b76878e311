//! How much memory an operation may take.

use std::fs;

/// What is left for programs, in bytes: the kernel's `MemAvailable` (proc_meminfo(5)); where it
/// does not tell, what any machine has.
pub(crate) fn available() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(256 << 20, |kib| kib.saturating_mul(1024))
}
