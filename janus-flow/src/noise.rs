//! Where pictures begin.

use std::f64::consts::TAU;

use janus_runtime::manifest::FlowConfig;
use ndarray::Array4;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A latent of standard normal noise, `[1, c, size, size]`.
///
/// Element *i* depends on the seed, the stream and *i* alone: picture *s* of a request has stream
/// *s*, and is the same however many are drawn.
pub fn noise(config: &FlowConfig, seed: u64, stream: u64) -> Array4<f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    let side = config.latent_size;
    let shape = (1, config.latent_channels, side, side);
    let count = config.latent_channels * side * side;
    let pairs = (0..count.div_ceil(2)).flat_map(|_| normal_pair(&mut generator));
    let elements = pairs.take(count).collect();
    Array4::from_shape_vec(shape, elements).expect("as many elements as the shape has")
}

/// Two independent normal numbers (Box and Muller, 1958).
fn normal_pair(generator: &mut ChaCha8Rng) -> [f32; 2] {
    let [u, v] = [(); 2].map(|()| uniform(generator.next_u64()));
    let radius = (-2.0 * u.ln()).sqrt();
    let (sin, cos) = (TAU * v).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

/// 53 bits as a number above 0 and at most 1.
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: FlowConfig = FlowConfig {
        latent_channels: 4,
        latent_size: 48,
        grid: [24, 24],
        image_size: 384,
        steps: 30,
    };

    #[test]
    fn noise_is_standard_normal() {
        let values: Vec<f64> = (0..8)
            .flat_map(|stream| noise(&CONFIG, 3, stream).into_raw_vec_and_offset().0)
            .map(f64::from)
            .collect();
        let moment =
            |power| values.iter().map(|x| x.powi(power)).sum::<f64>() / values.len() as f64;
        for (power, expected, tolerance) in [
            (1, 0.0, 0.02),
            (2, 1.0, 0.02),
            (3, 0.0, 0.05),
            (4, 3.0, 0.1),
        ] {
            let found = moment(power);
            assert!((found - expected).abs() < tolerance, "{power}: {found}");
        }
    }

    #[test]
    fn streams_and_seeds_are_independent_and_repeatable() {
        let one = noise(&CONFIG, 1, 0);
        assert_eq!(one, noise(&CONFIG, 1, 0));
        for other in [noise(&CONFIG, 1, 1), noise(&CONFIG, 2, 0)] {
            let covariance = (&one * &other).mean().unwrap_or(1.0);
            assert!(covariance.abs() < 0.05, "{covariance}");
        }
    }

    #[test]
    fn the_generator_is_pinned() {
        let first: Vec<_> = noise(&CONFIG, 7, 2).iter().take(3).copied().collect();
        assert_eq!(first, [-1.1144632, 1.0793803, -0.66930425]);
    }
}
