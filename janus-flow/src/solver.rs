//! How the next step of a flow follows from the velocities at hand.

use std::fmt;
use std::str::FromStr;

use ndarray::Array4;

/// Steps of the official code.
const OFFICIAL_STEPS: usize = 30;

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
    /// The same for what is predicted of the picture, over the logarithm of its ratio to the noise
    /// (DPM-Solver++, 2M; Lu et al., 2022), in the form it has for straight paths. Second order
    /// between noise and picture, first where the logarithm is infinite: at both ends.
    DpmSolver,
}

impl Solver {
    /// Every solver.
    pub const ALL: [Self; 4] = [
        Self::Euler,
        Self::Heun,
        Self::AdamsBashforth,
        Self::DpmSolver,
    ];

    /// How the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Heun => "heun",
            Self::AdamsBashforth => "ab2",
            Self::DpmSolver => "dpm++2m",
        }
    }

    /// When step `step` of `steps` begins, and the one before it ends. Steps are of equal length, but
    /// where one looks back the last of few is as short as the last of [`OFFICIAL_STEPS`]: the details
    /// of a picture come of what is predicted there.
    pub(crate) fn time(self, step: usize, steps: usize) -> f64 {
        let even = |step: usize, steps: usize| step as f64 / steps as f64;
        match self {
            Self::AdamsBashforth if (2..OFFICIAL_STEPS).contains(&steps) && step < steps => {
                even(step, steps - 1) * (1.0 - even(1, OFFICIAL_STEPS))
            }
            _ => even(step, steps),
        }
    }

    /// Velocities that so many steps take.
    pub fn evaluations(self, steps: usize) -> usize {
        match self {
            Self::Heun => (2 * steps).saturating_sub(1),
            _ => steps,
        }
    }

    /// The velocity of a step. `ahead` gives the velocity at the end of the step, of other latents.
    pub(crate) fn direction<E>(
        self,
        step: &Step<'_>,
        before: Option<&Evaluation>,
        ahead: impl FnOnce(&Array4<f32>) -> Result<Array4<f32>, E>,
    ) -> Result<Array4<f32>, E> {
        let Evaluation { time, velocity, .. } = step.here;
        let dt = step.end - time;
        Ok(match (self, before) {
            // The picture itself is no place to ask for a velocity: there is no noise left.
            (Self::Heun, _) if step.end < 1.0 => {
                let there = ahead(&(step.latents + dt as f32 * velocity))?;
                0.5 * (velocity + &there)
            }
            (Self::AdamsBashforth, Some(before)) => {
                let ratio = dt / (time - before.time);
                extrapolated(velocity, &before.velocity, ratio / 2.0)
            }
            (Self::DpmSolver, Some(before)) => {
                let span = log_ratio(step.end) - log_ratio(*time);
                let past = log_ratio(*time) - log_ratio(before.time);
                // Infinite where a step begins at noise or ends at the picture: first order there.
                let ratio = if span.is_finite() { span / past } else { 0.0 };
                let data = extrapolated(&step.here.data, &before.data, ratio / 2.0);
                (data - step.latents) / (1.0 - time) as f32
            }
            _ => velocity.clone(),
        })
    }
}

/// A step that is to be made.
pub(crate) struct Step<'a> {
    pub(crate) latents: &'a Array4<f32>,
    pub(crate) here: &'a Evaluation,
    /// The time at its end.
    pub(crate) end: f64,
}

/// A velocity, and what it says of the picture.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub(crate) time: f64,
    pub(crate) velocity: Array4<f32>,
    /// `z + (1 − t) · v`: where a straight path would end.
    pub(crate) data: Array4<f32>,
}

/// `now + weight · (now − before)`
fn extrapolated(now: &Array4<f32>, before: &Array4<f32>, weight: f64) -> Array4<f32> {
    (1.0 + weight) as f32 * now - weight as f32 * before
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
        let mut before = None;
        for step in 0..steps {
            let (time, end) = (time(step), time(step + 1));
            let v = velocity(&latents, time);
            let here = Evaluation {
                time,
                data: &latents + (1.0 - time) as f32 * &v,
                velocity: v,
            };
            let step = Step {
                latents: &latents,
                here: &here,
                end,
            };
            let ahead = |latents: &_| Ok::<_, Infallible>(velocity(latents, end));
            let Ok(v) = solver.direction(&step, before.as_ref(), ahead);
            latents = &latents + (end - time) as f32 * &v;
            before = Some(here);
        }
        let differences = (&latents - &path(0.9)).mapv(|d| f64::from(d.abs()));
        differences.fold(0.0, |a, &b| a.max(b))
    }

    #[test]
    fn all_but_euler_are_of_second_order_between_the_ends() {
        for solver in Solver::ALL {
            let expected = if solver == Solver::Euler { 1.0 } else { 2.0 };
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
    fn times_go_from_noise_to_picture() {
        for solver in Solver::ALL {
            for steps in [1, 2, 3, 12, 29, 30, 31, 200] {
                let times: Vec<_> = (0..=steps).map(|step| solver.time(step, steps)).collect();
                assert_eq!(
                    (times[0], times[steps]),
                    (0.0, 1.0),
                    "{solver}, {steps} steps"
                );
                assert!(times.is_sorted_by(|a, b| a < b), "{solver}: {times:?}");
            }
        }
        let [last, even] = [Solver::AdamsBashforth, Solver::Euler].map(|s| 1.0 - s.time(11, 12));
        assert!((last - 1.0 / 30.0).abs() < 1e-12 && (even - 1.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn names_parse_back() {
        for solver in Solver::ALL {
            assert_eq!(solver.name().parse(), Ok(solver));
        }
        let error = "rk4".parse::<Solver>().unwrap_err();
        assert_eq!(error, "it should be one of euler, heun, ab2, dpm++2m");
    }
}
