//! How fast memory is read.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::error::{Error, Result};

/// The buffer has at least so many bytes, far more than a last-level cache holds.
const LEAST_BYTES: usize = 512 << 20;
/// With many threads, so many for each: a thread's share must not fit its part of the cache.
const BYTES_PER_THREAD: usize = 128 << 20;
/// The buffer never has more bytes.
const MOST_BYTES: usize = 4 << 30;
/// Sums that are independent of one another, so that loads overlap.
const LANES: usize = 32;

/// How fast some threads together read memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Bytes per second.
    pub bytes_per_second: f64,
    /// Threads that read.
    pub threads: usize,
}

/// Measures how fast `threads` threads together read memory: the best of `passes` over a buffer
/// that no cache holds.
///
/// The best, because a pass can only be slowed down, by whoever else uses the machine.
///
/// # Errors
///
/// [`Error::BandwidthBuffer`] where there is no room for the buffer.
pub fn read_bandwidth(threads: usize, passes: usize) -> Result<Bandwidth> {
    let threads = threads.max(1);
    let bytes = threads.saturating_mul(BYTES_PER_THREAD);
    let buffer = buffer(bytes.clamp(LEAST_BYTES, MOST_BYTES))?;
    let seconds = (0..passes.max(1)).map(|_| pass(&buffer, threads));
    let best = seconds.fold(f64::INFINITY, f64::min);
    Ok(Bandwidth {
        bytes_per_second: size_of_val(&buffer[..]) as f64 / best,
        threads,
    })
}

/// A buffer whose every page has been written, so that each is one of its own.
fn buffer(bytes: usize) -> Result<Vec<u64>> {
    let mut buffer = Vec::new();
    let length = bytes / size_of::<u64>();
    buffer
        .try_reserve_exact(length)
        .map_err(|source| Error::BandwidthBuffer { bytes, source })?;
    buffer.extend(0..length as u64);
    Ok(buffer)
}

/// Seconds in which the threads read the buffer once, a part each.
fn pass(buffer: &[u64], threads: usize) -> f64 {
    let parts = buffer.chunks(buffer.len().div_ceil(threads));
    let begun = Instant::now();
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| black_box(sum(part)));
        }
    });
    begun.elapsed().as_secs_f64()
}

/// The sum, modulo 2⁶⁴: the least that can be done with what is read.
fn sum(part: &[u64]) -> u64 {
    let (chunks, rest) = part.as_chunks::<LANES>();
    let mut lanes = [0_u64; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*value);
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(0, |sum, value| sum.wrapping_add(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read() {
        let numbers: Vec<u64> = (0..1000).collect();
        assert_eq!(sum(&numbers), 499_500);
        assert_eq!(sum(&[u64::MAX, 3]), 2);
    }

    #[test]
    fn a_bandwidth_is_a_positive_number() {
        let bandwidth = read_bandwidth(2, 1).unwrap();
        assert_eq!(bandwidth.threads, 2);
        assert!(bandwidth.bytes_per_second.is_finite() && bandwidth.bytes_per_second > 0.0);
    }
}
