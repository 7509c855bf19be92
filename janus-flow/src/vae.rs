//! Latents to pictures.

use image::{Rgb, RgbImage};
use janus_runtime::manifest::FlowConfig;
use janus_runtime::{GraphKind, LazyGraph, ModelDir, SessionOptions, tensors};
use ndarray::{Array4, ArrayView3, ArrayView4, Axis};

use crate::error::{Result, with_shape};

/// The decoder of the SDXL VAE.
///
/// ```
/// use janus_flow::{VaeDecoder, noise};
/// use janus_runtime::{ModelDir, SessionOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::tiny_flow(janus_runtime::manifest::DType::Fp32);
/// let mut vae = VaeDecoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let pictures = vae.decode(noise(vae.config(), 7, 0).view())?;
/// assert_eq!(pictures[0].width() as usize, vae.config().image_size);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VaeDecoder {
    graph: LazyGraph,
    config: FlowConfig,
}

impl VaeDecoder {
    /// The graph `vae_decoder`, opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let config = model.manifest().flow()?.clone();
        let graph = model.lazy_graph(GraphKind::VaeDecoder, options)?;
        Ok(Self { graph, config })
    }

    /// Sizes of latents and pictures.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// Decodes `latents [n, c, size, size]` as the flow leaves them: the graph divides by the VAE's
    /// scaling factor.
    pub fn decode(&mut self, latents: ArrayView4<'_, f32>) -> Result<Vec<RgbImage>> {
        let pixels = self.decode_pixels(latents)?;
        Ok(pixels.axis_iter(Axis(0)).map(to_picture).collect())
    }

    /// Decodes to `[n, 3, size, size]`, about −1 to 1, not clamped.
    ///
    /// Pictures are decoded one by one: the widest layer of a picture of 384 × 384 takes 150 MB,
    /// and several at once are no faster.
    pub fn decode_pixels(&mut self, latents: ArrayView4<'_, f32>) -> Result<Array4<f32>> {
        let size = self.config.image_size;
        let mut pixels = Array4::zeros((latents.len_of(Axis(0)), 3, size, size));
        let latents = latents.axis_chunks_iter(Axis(0), 1);
        for (latent, mut target) in latents.zip(pixels.axis_chunks_iter_mut(Axis(0), 1)) {
            let mut outputs = self
                .graph
                .get()?
                .run(&[(tensors::LATENTS, latent.into())])?;
            let decoded = outputs.take_finite(tensors::PIXELS)?;
            target.assign(&with_shape(tensors::PIXELS, decoded, [1, 3, size, size])?);
        }
        Ok(pixels)
    }
}

/// Rounds as the official script does: `clip(x, −1, 1) / 2 + 0.5`, then to the nearest of 255 steps.
fn to_picture(pixels: ArrayView3<'_, f32>) -> RgbImage {
    let (_, height, width) = pixels.dim();
    // Reference arithmetic: in 32 bits and in this order.
    let byte = |x: f32| ((x.clamp(-1.0, 1.0) * 0.5 + 0.5) * 255.0 + 0.5) as u8;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        Rgb([0, 1, 2].map(|c| byte(pixels[[c, y, x]])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn bytes_are_rounded() {
        let values = [-2.0, -1.0, -0.997, -0.995, 0.0, 0.999, 1.0, 3.0];
        let pixels = Array::from_shape_fn((3, 1, 8), |(_, _, x)| values[x]);
        let row: Vec<_> = to_picture(pixels.view()).pixels().map(|p| p[0]).collect();
        assert_eq!(row, [0, 0, 0, 1, 128, 255, 255, 255]);
    }
}
