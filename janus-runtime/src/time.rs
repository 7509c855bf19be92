//! The time of a rectified flow as waves, with which its graphs begin, or whoever runs them.

/// The longest wave takes 2π times as many timesteps.
const MAX_PERIOD: f64 = 10_000.0;

/// `10000^(−i / count)`, rounded as the official code rounds it: angles of hundreds of radians
/// magnify the last bit.
pub fn time_frequencies(count: usize) -> Vec<f32> {
    let exponent = -(MAX_PERIOD.ln() as f32);
    let frequency = |i| f64::from(exponent * i as f32 / count as f32).exp() as f32;
    (0..count).map(frequency).collect()
}

/// Cosines of `timestep` times each of the frequencies, then their sines: `width` numbers.
///
/// The angle is rounded to 32 bits as in the official code, the rest is not: shaders have sines that are
/// near in the first turn and far off after a hundred.
pub fn time_waves(timestep: f32, width: usize) -> Vec<f32> {
    let frequencies = time_frequencies(width / 2);
    let angle = |frequency: &f32| f64::from(timestep * frequency);
    let cosines = frequencies.iter().map(|it| angle(it).cos() as f32);
    let sines = frequencies.iter().map(|it| angle(it).sin() as f32);
    cosines.chain(sines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_cosines_and_sines_from_fast_to_slow() {
        assert_eq!(time_waves(0.0, 6), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        let waves = time_waves(1000.0, 4);
        // Frequencies 1 and a hundredth.
        for (wave, expected) in waves
            .iter()
            .zip([0.562_379, -0.839_072, 0.826_880, -0.544_021])
        {
            assert!((wave - expected).abs() < 1e-5, "{waves:?}");
        }
    }
}
