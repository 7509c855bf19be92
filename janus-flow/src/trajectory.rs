//! A latent on its way from noise to picture.

use ndarray::Array4;

use crate::solver::{Evaluation, Solver, Step};

/// A latent on its way from noise to picture, step by step.
///
/// ```
/// use janus_flow::{Solver, Trajectory};
/// use ndarray::Array4;
///
/// # fn main() -> Result<(), std::convert::Infallible> {
/// // A flow that leads to 3 from everywhere.
/// let noise = Array4::zeros((1, 1, 2, 2));
/// let mut trajectory = Trajectory::new(noise, Solver::Euler, 10);
/// while !trajectory.is_complete() {
///     trajectory.advance(|latents, time| Ok::<_, std::convert::Infallible>((3.0 - latents) / (1.0 - time as f32)))?;
/// }
/// assert!(trajectory.latents().iter().all(|z| (z - 3.0).abs() < 1e-5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Trajectory {
    latents: Array4<f32>,
    solver: Solver,
    done: usize,
    steps: usize,
    last: Option<Evaluation>,
}

impl Trajectory {
    /// A trajectory that begins at `noise [n, c, h, w]`.
    pub fn new(noise: Array4<f32>, solver: Solver, steps: usize) -> Self {
        Self {
            latents: noise,
            solver,
            done: 0,
            steps,
            last: None,
        }
    }

    /// Moves on by a step. `velocity` gives that of latents at a time, 0 for noise up to, but not
    /// including, 1 for the picture. Does nothing once the picture is complete.
    ///
    /// # Errors
    ///
    /// Those of `velocity`; the latents have not moved then.
    pub fn advance<E>(
        &mut self,
        mut velocity: impl FnMut(&Array4<f32>, f64) -> Result<Array4<f32>, E>,
    ) -> Result<(), E> {
        if self.is_complete() {
            return Ok(());
        }
        let (time, end) = (self.time_of(self.done), self.time_of(self.done + 1));
        let v = velocity(&self.latents, time)?;
        let here = Evaluation {
            time,
            data: &self.latents + (1.0 - time) as f32 * &v,
            velocity: v,
        };
        let step = Step {
            latents: &self.latents,
            here: &here,
            end,
        };
        let ahead = |latents: &_| velocity(latents, end);
        let v = self.solver.direction(&step, self.last.as_ref(), ahead)?;
        let dt = (end - time) as f32;
        self.latents = &self.latents + dt * &v; // z = z + dt · v
        self.last = Some(here);
        self.done += 1;
        Ok(())
    }

    /// Where it is, `[n, c, h, w]`.
    pub fn latents(&self) -> &Array4<f32> {
        &self.latents
    }

    /// Where it will end if it goes straight on, `[n, c, h, w]`: a picture at every step.
    pub fn prediction(&self) -> &Array4<f32> {
        match &self.last {
            Some(last) if !self.is_complete() => &last.data,
            _ => &self.latents,
        }
    }

    /// Its velocity where the last step began; none before the first.
    pub fn velocity(&self) -> Option<&Array4<f32>> {
        self.last.as_ref().map(|last| &last.velocity)
    }

    /// Steps that were made.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Steps that it consists of.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the picture has been reached.
    pub fn is_complete(&self) -> bool {
        self.done >= self.steps
    }

    fn time_of(&self, step: usize) -> f64 {
        self.solver.time(step, self.steps)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Mean and deviation of the picture's elements.
    const MEAN: f64 = 0.7;
    const DEVIATION: f64 = 0.4;

    /// The velocity of noise that becomes normally distributed elements: at time t they have mean
    /// `t · m` and variance `t² s² + (1 − t)²`.
    fn velocity(latents: &Array4<f32>, time: f64) -> Result<Array4<f32>, Infallible> {
        assert!((0.0..1.0).contains(&time), "{time}");
        let variance = (time * DEVIATION).powi(2) + (1.0 - time).powi(2);
        let growth = (time * DEVIATION.powi(2) - (1.0 - time)) / variance;
        Ok(latents.mapv(|z| (MEAN + growth * (f64::from(z) - time * MEAN)) as f32))
    }

    /// The largest distance from where noise z ends up, `m + s · z`.
    fn error(solver: Solver, steps: usize) -> f64 {
        let noise = Array4::from_shape_fn((1, 1, 1, 9), |(.., i)| (i as f32 - 4.0) / 2.0);
        let mut evaluations = 0;
        let mut trajectory = Trajectory::new(noise.clone(), solver, steps);
        while !trajectory.is_complete() {
            let counted = |latents: &_, time| {
                evaluations += 1;
                velocity(latents, time)
            };
            let Ok(()) = trajectory.advance(counted);
        }
        assert_eq!(evaluations, solver.evaluations(steps));
        let end = noise.mapv(|z| MEAN + DEVIATION * f64::from(z));
        let distances = trajectory.latents().iter().zip(&end);
        distances
            .map(|(&z, end)| (f64::from(z) - end).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn solvers_converge_by_their_order() {
        for (solver, expected) in [
            (Solver::Euler, 1.0),
            (Solver::Heun, 2.0),
            (Solver::AdamsBashforth, 2.0),
        ] {
            let errors = [30, 60, 120].map(|steps| error(solver, steps));
            for pair in errors.windows(2) {
                let order = (pair[0] / pair[1]).log2();
                assert!((order - expected).abs() < 0.15, "{solver}: {order}");
            }
        }
    }

    /// It is of first order at both ends, whatever the steps between, but closer from the start.
    #[test]
    fn few_steps_of_dpm_solver_equal_many_of_euler() {
        for steps in [10, 20, 40, 80] {
            let (dpm, euler) = (error(Solver::DpmSolver, steps), error(Solver::Euler, steps));
            assert!(dpm < euler / 5.0, "{steps} steps: {dpm} and {euler}");
        }
    }

    #[test]
    fn an_error_moves_nothing() {
        let noise = Array4::ones((1, 1, 2, 2));
        let mut trajectory = Trajectory::new(noise.clone(), Solver::Heun, 3);
        assert_eq!(
            trajectory.advance(|_, _| Err("out of reach")),
            Err("out of reach")
        );
        assert_eq!((trajectory.latents(), trajectory.done()), (&noise, 0));
        assert_eq!(trajectory.prediction(), &noise);
        assert!(trajectory.velocity().is_none());
    }
}
