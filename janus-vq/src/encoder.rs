//! Pictures to image tokens.

use image::RgbImage;
use janus_runtime::manifest::VqConfig;
use janus_runtime::{GraphKind, LazyGraph, ModelDir, SessionOptions, tensors};
use ndarray::{Array2, ArrayView4, Axis};

use crate::error::{Result, with_shape};
use crate::pixels::pixels_from_pictures;
use crate::tokens::ImageTokens;

/// The VQ encoder: each place of the grid becomes the code whose direction is nearest.
///
/// Drawing does not need it; it serves editing, training and tests.
///
/// ```
/// use janus_runtime::{ModelDir, SessionOptions};
/// use janus_vq::VqEncoder;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let mut encoder = VqEncoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let white = image::RgbImage::from_pixel(48, 48, image::Rgb([245; 3]));
/// let tokens = encoder.encode(&[white])?;
/// // Every place of an empty board looks the same.
/// assert!(tokens.row(0).all(|token| token == tokens.row(0).next().unwrap()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VqEncoder {
    graph: LazyGraph,
    config: VqConfig,
}

impl VqEncoder {
    /// The graph `vq_encoder`, opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let config = model.manifest().vq()?.clone();
        let graph = model.lazy_graph(GraphKind::VqEncoder, options)?;
        Ok(Self { graph, config })
    }

    /// Sizes of the tokenizer.
    pub fn config(&self) -> &VqConfig {
        &self.config
    }

    /// Encodes pictures of any size: the short side is scaled to the tokenizer's, the long one
    /// cropped around its middle.
    pub fn encode(&mut self, pictures: &[RgbImage]) -> Result<ImageTokens> {
        let pixels = pixels_from_pictures(pictures, self.config.image_size)?;
        self.encode_pixels(pixels.view())
    }

    /// Encodes `pixels [n, 3, size, size]`, −1 to 1.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::Input`] where the pixels have another size than the tokenizer's.
    pub fn encode_pixels(&mut self, pixels: ArrayView4<'_, f32>) -> Result<ImageTokens> {
        let count = self.config.num_tokens();
        let mut indices = Array2::zeros((pixels.len_of(Axis(0)), count));
        let pictures = pixels.axis_chunks_iter(Axis(0), 1);
        for (picture, mut target) in pictures.zip(indices.axis_chunks_iter_mut(Axis(0), 1)) {
            let mut outputs = self
                .graph
                .get()?
                .run(&[(tensors::PIXELS, picture.into())])?;
            let tokens = outputs.take_i64(tensors::IMAGE_TOKENS)?;
            target.assign(&with_shape(tensors::IMAGE_TOKENS, tokens, [1, count])?);
        }
        ImageTokens::from_indices(indices, &self.config)
    }
}
