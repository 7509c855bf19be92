//! How fast memory is read.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::statistics::Summary;

/// The buffer has at least so many bytes, far more than a last-level cache holds.
const LEAST_BYTES: usize = 512 << 20;
/// With many threads, so many for each: a thread's share must not fit its part of the cache.
const BYTES_PER_THREAD: usize = 128 << 20;
/// The buffer never has more bytes.
const MOST_BYTES: usize = 4 << 30;
/// Sums that are independent of one another, so that loads overlap.
const LANES: usize = 32;

/// Threads that have worked wait for more work with the processor busy; so long after a run they sleep.
const UNTIL_ASLEEP: Duration = Duration::from_millis(50);

/// How fast some threads together read memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Bytes per second, of every time that they read.
    pub bytes_per_second: Summary,
    /// Threads that read.
    pub threads: usize,
}

/// Reads memory between runs, so that what a run reads per second can be set beside what the memory gives at
/// that time: where others use the machine, it may be half of what it was a minute ago.
#[derive(Debug)]
pub struct MemoryReader {
    buffer: Vec<u64>,
    threads: usize,
    rates: Vec<f64>,
}

impl MemoryReader {
    /// A buffer that no cache holds, for `threads` threads to read.
    ///
    /// # Errors
    ///
    /// [`Error::BandwidthBuffer`] where there is no room for it.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = threads.max(1);
        let bytes = threads.saturating_mul(BYTES_PER_THREAD);
        Ok(Self {
            buffer: buffer(bytes.clamp(LEAST_BYTES, MOST_BYTES))?,
            threads,
            rates: Vec::new(),
        })
    }

    /// Bytes that are read at a time.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.buffer[..])
    }

    /// Reads the buffer once, a part by each thread, when what ran before is asleep. Gives bytes per second.
    pub fn read(&mut self) -> f64 {
        thread::sleep(UNTIL_ASLEEP);
        let rate = self.bytes() as f64 / pass(&self.buffer, self.threads);
        self.rates.push(rate);
        rate
    }

    /// How fast memory was read so far, if it was.
    pub fn bandwidth(&self) -> Option<Bandwidth> {
        (!self.rates.is_empty()).then(|| Bandwidth {
            bytes_per_second: Summary::of(&self.rates),
            threads: self.threads,
        })
    }
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
        let mut reader = MemoryReader::new(2).unwrap();
        assert_eq!(reader.bandwidth(), None);
        let rates = [reader.read(), reader.read()];
        assert!(rates.iter().all(|rate| rate.is_finite() && *rate > 0.0));
        let bandwidth = reader.bandwidth().unwrap();
        assert_eq!((bandwidth.threads, bandwidth.bytes_per_second.runs), (2, 2));
        assert_eq!(
            bandwidth.bytes_per_second.median,
            (rates[0] + rates[1]) / 2.0
        );
    }
}
