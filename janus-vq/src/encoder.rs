//! The VQ encoder: pictures to image tokens.

use image::RgbImage;
use janus_runtime::manifest::VqConfig;
use janus_runtime::{Graph, GraphKind, ModelDir, SessionOptions, tensors};
use ndarray::{Array2, ArrayView4, Axis};

use crate::error::Result;
use crate::output::with_shape;
use crate::pixels::pixels_from_images;
use crate::tokens::ImageTokens;

/// Pictures to image tokens.
///
/// ```
/// use janus_runtime::{ModelDir, SessionOptions};
/// use janus_vq::VqEncoder;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let mut encoder = VqEncoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let tokens = encoder.encode(&[image::RgbImage::new(640, 480)])?;
/// assert_eq!(tokens.to_rows()[0].len(), encoder.config().num_tokens());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VqEncoder {
    graph: Graph,
    config: VqConfig,
}

impl VqEncoder {
    /// Opens the graph `vq_encoder`.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            graph: model.graph(GraphKind::VqEncoder, options)?,
            config: model.manifest().vq.clone(),
        })
    }

    /// Sizes of the codebook, of the grid and of a picture.
    pub fn config(&self) -> &VqConfig {
        &self.config
    }

    /// Encodes the middle square of each picture, resized as [`pixels_from_images`] does it.
    ///
    /// # Errors
    ///
    /// [`Error::NoPixels`](crate::Error::NoPixels) where a picture has no width or no height,
    /// [`Error::Runtime`](crate::Error::Runtime) where a run fails.
    pub fn encode(&mut self, pictures: &[RgbImage]) -> Result<ImageTokens> {
        let pixels = pixels_from_images(pictures, self.config.image_size)?;
        self.encode_pixels(pixels.view())
    }

    /// Encodes pixels, `[n, 3, h, w]`, −1 to 1.
    ///
    /// # Errors
    ///
    /// [`Error::Runtime`](crate::Error::Runtime) where the pixels have another size than the
    /// model's pictures, and where a run fails.
    pub fn encode_pixels(&mut self, pixels: ArrayView4<'_, f32>) -> Result<ImageTokens> {
        let shape = (pixels.len_of(Axis(0)), self.config.num_tokens());
        let mut indices = Array2::zeros(shape);
        // One picture keeps every core busy, and memory must not grow with their number.
        let pictures = pixels.axis_chunks_iter(Axis(0), 1);
        for (picture, mut target) in pictures.zip(indices.axis_chunks_iter_mut(Axis(0), 1)) {
            target.assign(&self.run(picture)?);
        }
        ImageTokens::from_indices(indices, &self.config)
    }

    fn run(&mut self, picture: ArrayView4<'_, f32>) -> Result<Array2<i64>> {
        let mut outputs = self.graph.run(&[(tensors::PIXELS, picture.into())])?;
        let indices = outputs.take_i64(tensors::IMAGE_TOKENS)?;
        let shape = [1, self.config.num_tokens()];
        with_shape(indices, self.graph.kind(), tensors::IMAGE_TOKENS, shape)
    }
}
