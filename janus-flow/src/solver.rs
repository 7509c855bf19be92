//! How the next step of a flow follows from the velocities at hand.

use std::fmt;
use std::str::FromStr;

use ndarray::Array4;

/// A way to solve `dz/dt = v(z, t)` from noise at 0 to the picture at 1.
///
/// Every one of them is a rule for the velocity of a step, after which `z = z + dt · v`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Solver {
    /// The velocity where the step begins: what the official code does. First order.
    #[default]
    Euler,
    /// The mean of the velocities at both ends of the step, the far one where Euler's rule leads:
    /// two evaluations a step, but for the last. Second order.
    Heun,
    /// The velocity where the step begins, carried on by how it has changed since the step before
    /// (Adams and Bashforth, two steps). Second order.
    AdamsBashforth,
    /// The same by the two steps before (Adams and Bashforth, three steps). Third order, but for the
    /// first two steps.
    AdamsBashforth3,
    /// The same for what is predicted of the picture, over the logarithm of its ratio to the noise
    /// (DPM-Solver++, 2M; Lu et al., 2022), in the form it has for straight paths. Second order
    /// between noise and picture, first where the logarithm is infinite: at both ends.
    DpmSolver,
}

impl Solver {
    /// Every solver.
    pub const ALL: [Self; 5] = [
        Self::Euler,
        Self::Heun,
        Self::AdamsBashforth,
        Self::AdamsBashforth3,
        Self::DpmSolver,
    ];

    /// How the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Heun => "heun",
            Self::AdamsBashforth => "ab2",
            Self::AdamsBashforth3 => "ab3",
            Self::DpmSolver => "dpm++2m",
        }
    }

    /// Velocities that so many steps take.
    pub fn evaluations(self, steps: usize) -> usize {
        match self {
            Self::Heun => (2 * steps).saturating_sub(1),
            _ => steps,
        }
    }

    /// Where step `step` of `steps` begins, or the one before it ends. Steps are of equal length; but
    /// where one looks further back, and steps are few, the last is as short as those of the official
    /// code: what a picture's details are is settled there.
    pub(crate) fn time(self, step: usize, steps: usize) -> f64 {
        const LAST: f64 = 1.0 / 30.0;
        let whole = steps as f64;
        match self {
            Self::AdamsBashforth3 if step < steps && steps > 1 && 1.0 / whole > LAST => {
                step as f64 * (1.0 - LAST) / (whole - 1.0)
            }
            _ => step as f64 / whole,
        }
    }

    /// How many evaluations before the one of a step it goes by, at most.
    pub(crate) fn memory(self) -> usize {
        match self {
            Self::Euler | Self::Heun => 0,
            Self::AdamsBashforth | Self::DpmSolver => 1,
            Self::AdamsBashforth3 => 2,
        }
    }

    /// The velocity of a step. `ahead` gives the velocity at the end of the step, of other latents.
    pub(crate) fn direction<E>(
        self,
        step: &Step<'_>,
        ahead: impl FnOnce(&Array4<f32>) -> Result<Array4<f32>, E>,
    ) -> Result<Array4<f32>, E> {
        let Evaluation { time, velocity, .. } = step.here();
        let dt = step.end - time;
        Ok(match self {
            // The picture itself is no place to ask for a velocity: there is no noise left.
            Self::Heun if step.end < 1.0 => {
                let there = ahead(&(step.latents + dt as f32 * velocity))?;
                0.5 * (velocity + &there)
            }
            Self::AdamsBashforth | Self::AdamsBashforth3 => step.extrapolated_velocity(),
            Self::DpmSolver => step.towards_extrapolated_data(),
            Self::Euler | Self::Heun => velocity.clone(),
        })
    }
}

/// A step that is to be made.
pub(crate) struct Step<'a> {
    pub(crate) latents: &'a Array4<f32>,
    /// What is known, the newest first: at the beginning of the step, and before it.
    pub(crate) known: &'a [Evaluation],
    /// The time at its end.
    pub(crate) end: f64,
}

impl Step<'_> {
    fn here(&self) -> &Evaluation {
        &self.known[0]
    }

    /// The mean over the step of the polynomial through all that is known.
    fn extrapolated_velocity(&self) -> Array4<f32> {
        let times: Vec<_> = self.known.iter().map(|known| known.time).collect();
        let weights = mean_weights(&times, self.end);
        let mut mean = Array4::zeros(self.latents.raw_dim());
        for (weight, known) in weights.into_iter().zip(self.known) {
            mean.scaled_add(weight as f32, &known.velocity);
        }
        mean
    }

    /// The velocity that leads to the picture predicted, carried on by how the prediction has changed.
    fn towards_extrapolated_data(&self) -> Array4<f32> {
        let [here, before, ..] = self.known else {
            return self.here().velocity.clone();
        };
        let span = log_ratio(self.end) - log_ratio(here.time);
        let past = log_ratio(here.time) - log_ratio(before.time);
        // Infinite where a step begins at noise or ends at the picture: first order there.
        let ratio = if span.is_finite() { span / past } else { 0.0 };
        let weight = (ratio / 2.0) as f32;
        let data = (1.0 + weight) * &here.data - weight * &before.data;
        (data - self.latents) / (1.0 - here.time) as f32
    }
}

/// A velocity, and what it says of the picture.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub(crate) time: f64,
    pub(crate) velocity: Array4<f32>,
    /// `z + (1 − t) · v`: where a straight path would end.
    pub(crate) data: Array4<f32>,
}

/// The share of each velocity in the mean, from the first of `times` to `end`, of the polynomial through
/// velocities at `times`: of velocity *j* the mean of `Π (t − tₘ) / (tⱼ − tₘ)` over all other *m*.
fn mean_weights(times: &[f64], end: f64) -> Vec<f64> {
    let step = end - times[0];
    // In units of the step, from its beginning.
    let places: Vec<_> = times.iter().map(|time| (time - times[0]) / step).collect();
    let weight_of = |j: usize| {
        // Coefficients, that of the lowest power first.
        let mut basis = vec![1.0];
        for (_, place) in places.iter().enumerate().filter(|(m, _)| *m != j) {
            let scale = places[j] - place;
            let mut product = vec![0.0; basis.len() + 1];
            for (power, coefficient) in basis.iter().enumerate() {
                product[power] -= coefficient * place / scale;
                product[power + 1] += coefficient / scale;
            }
            basis = product;
        }
        let terms = basis.iter().zip(1..).map(|(c, power)| c / f64::from(power));
        terms.sum()
    };
    (0..times.len()).map(weight_of).collect()
}

/// Logarithm of the ratio of picture to noise.
fn log_ratio(time: f64) -> f64 {
    (time / (1.0 - time)).ln()
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Solver {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|solver| solver.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("it should be one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The largest error of `steps` equal steps from 0.1 to 0.9 along a flow whose paths are
    /// `t m + z √(t² s² + (1 − t)²)`.
    fn error(solver: Solver, steps: usize) -> f64 {
        let (mean, variance) = (0.7, 0.16);
        let spread = |t: f64| (t * t * variance + (1.0 - t).powi(2)).sqrt();
        let noise = Array4::from_shape_fn((1, 1, 1, 9), |(.., i)| (i as f64 - 4.0) / 2.0);
        let path = |t: f64| noise.mapv(|z| (t * mean + z * spread(t)) as f32);
        let velocity = |latents: &Array4<f32>, t: f64| {
            let growth = (t * variance - (1.0 - t)) / spread(t).powi(2);
            latents.mapv(|z| (mean + growth * (f64::from(z) - t * mean)) as f32)
        };
        let time = |step: usize| 0.1 + 0.8 * step as f64 / steps as f64;
        let mut latents = path(time(0));
        let mut known: Vec<Evaluation> = Vec::new();
        for step in 0..steps {
            let (time, end) = (time(step), time(step + 1));
            let v = velocity(&latents, time);
            known.insert(
                0,
                Evaluation {
                    time,
                    data: &latents + (1.0 - time) as f32 * &v,
                    velocity: v,
                },
            );
            known.truncate(1 + solver.memory());
            let step = Step {
                latents: &latents,
                known: &known,
                end,
            };
            let ahead = |latents: &_| Ok::<_, Infallible>(velocity(latents, end));
            let Ok(v) = solver.direction(&step, ahead);
            latents = &latents + (end - time) as f32 * &v;
        }
        let differences = (&latents - &path(0.9)).mapv(|d| f64::from(d.abs()));
        differences.fold(0.0, |a, &b| a.max(b))
    }

    #[test]
    fn orders_are_theirs_between_the_ends() {
        for solver in Solver::ALL {
            let expected = match solver {
                Solver::Euler => 1.0,
                // Its first two steps are of lower orders, and their errors of the other sign.
                Solver::AdamsBashforth3 => continue,
                _ => 2.0,
            };
            let errors = [20, 40, 80].map(|steps| error(solver, steps));
            for pair in errors.windows(2) {
                let order = (pair[0] / pair[1]).log2();
                assert!(
                    (order - expected).abs() < 0.3,
                    "{solver}: {order} in {errors:?}"
                );
            }
        }
    }

    #[test]
    fn a_third_step_comes_nearer() {
        for steps in [10, 20, 40] {
            let [two, three] = [Solver::AdamsBashforth, Solver::AdamsBashforth3];
            let (two, three) = (error(two, steps), error(three, steps));
            assert!(three < two / 2.0, "{steps} steps: {three} and {two}");
        }
    }

    #[test]
    fn weights_are_those_of_adams_and_bashforth() {
        let near = |times: &[f64], expected: &[f64]| {
            let found = mean_weights(times, times[0] + 0.25);
            let far = found.iter().zip(expected).find(|(a, b)| (*a - *b).abs() > 1e-12);
            assert!(far.is_none(), "{found:?}");
        };
        near(&[0.5], &[1.0]);
        near(&[0.5, 0.25], &[1.5, -0.5]);
        near(&[0.5, 0.25, 0.0], &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0]);
        // A step half as long as the one before.
        near(&[0.5, 0.0], &[1.25, -0.25]);
    }

    #[test]
    fn names_parse_back() {
        for solver in Solver::ALL {
            assert_eq!(solver.name().parse(), Ok(solver));
        }
        let error = "rk4".parse::<Solver>().unwrap_err();
        assert_eq!(error, "it should be one of euler, heun, ab2, ab3, dpm++2m");
    }
}
