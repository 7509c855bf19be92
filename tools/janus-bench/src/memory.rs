//! How much memory this process has used.

use std::fs;

/// Peak resident memory in bytes, where the system tells: Linux does.
///
/// Counts since the process began, or since the last [`reset_peak`] that went well. Pages of
/// mapped files count while they are resident.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    parse(&status)
}

/// Lets the peak begin anew at what is resident now; whether the system could.
pub fn reset_peak() -> bool {
    // proc(5): 5 resets the high water mark.
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read() {
        let status = "Name:\tjanus\nVmPeak:\t  999 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(parse(status), Some(1234 * 1024));
        assert_eq!(parse("Name:\tjanus\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_can_begin_anew() {
        let buffer = std::hint::black_box(vec![1_u8; 64 << 20]);
        let before = peak().unwrap();
        drop(buffer);
        if reset_peak() {
            assert!(peak().unwrap() + (32 << 20) < before);
        }
    }
}
