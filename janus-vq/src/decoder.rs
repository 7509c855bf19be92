//! The VQ decoder: image tokens to pictures.

use image::RgbImage;
use janus_runtime::manifest::VqConfig;
use janus_runtime::{Graph, GraphKind, ModelDir, SessionOptions, tensors};
use ndarray::{Array4, ArrayView2, Axis};

use crate::error::Result;
use crate::output::with_shape;
use crate::pixels::pixels_to_images;
use crate::tokens::ImageTokens;

/// Image tokens to pictures.
///
/// ```
/// use janus_runtime::{ImageToken, ModelDir, SessionOptions};
/// use janus_vq::{ImageTokens, VqDecoder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let mut decoder = VqDecoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
///
/// // The first rows of a picture that is still being drawn; its last token stands for the rest.
/// let so_far = vec![ImageToken(3); decoder.config().num_tokens() / 2];
/// let tokens = ImageTokens::padded(&[so_far], ImageToken(3), decoder.config())?;
/// let pictures = decoder.decode(&tokens)?;
/// assert_eq!(pictures.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VqDecoder {
    graph: Graph,
    config: VqConfig,
}

impl VqDecoder {
    /// Opens the graph `vq_decoder`.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            graph: model.graph(GraphKind::VqDecoder, options)?,
            config: model.manifest().vq.clone(),
        })
    }

    /// Sizes of the codebook, of the grid and of a picture.
    pub fn config(&self) -> &VqConfig {
        &self.config
    }

    /// Decodes each picture.
    ///
    /// # Errors
    ///
    /// [`Error::Runtime`](crate::Error::Runtime) where the tokens were made for a model with
    /// another grid, where a run fails, and where it gives a value that is not a number.
    pub fn decode(&mut self, tokens: &ImageTokens) -> Result<Vec<RgbImage>> {
        Ok(pixels_to_images(self.decode_pixels(tokens)?.view()))
    }

    /// Decodes each picture to pixels, `[n, 3, h, w]`, about −1 to 1: not clipped.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_pixels(&mut self, tokens: &ImageTokens) -> Result<Array4<f32>> {
        let side = self.config.image_size;
        let mut pixels = Array4::zeros((tokens.len(), 3, side, side));
        // One picture keeps every core busy, and memory must not grow with their number.
        let pictures = tokens.view().axis_chunks_iter(Axis(0), 1);
        for (picture, mut target) in pictures.zip(pixels.axis_chunks_iter_mut(Axis(0), 1)) {
            target.assign(&self.run(picture)?);
        }
        Ok(pixels)
    }

    fn run(&mut self, picture: ArrayView2<'_, i64>) -> Result<Array4<f32>> {
        let mut outputs = self.graph.run(&[(tensors::IMAGE_TOKENS, picture.into())])?;
        let pixels = outputs.take_finite(tensors::PIXELS)?;
        let side = self.config.image_size;
        with_shape(
            pixels,
            self.graph.kind(),
            tensors::PIXELS,
            [1, 3, side, side],
        )
    }
}
