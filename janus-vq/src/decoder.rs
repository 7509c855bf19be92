//! Image tokens to pictures.

use image::RgbImage;
use janus_runtime::manifest::VqConfig;
use janus_runtime::{GraphKind, LazyGraph, ModelDir, SessionOptions, tensors};
use ndarray::{Array4, Axis, s};

use crate::error::{Result, with_shape};
use crate::pixels::pixels_to_pictures;
use crate::tokens::ImageTokens;

/// The VQ decoder (Janus §2: image tokens → pixels).
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
/// // A picture of which one half is drawn; its last token stands for the rest.
/// let drawn = vec![ImageToken(0); decoder.config().num_tokens() / 2];
/// let tokens = ImageTokens::padded(&[drawn], ImageToken(0), decoder.config())?;
/// let pictures = decoder.decode(&tokens)?;
/// assert_eq!(pictures[0].width() as usize, decoder.config().image_size);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VqDecoder {
    graph: LazyGraph,
    config: VqConfig,
}

impl VqDecoder {
    /// The graph `vq_decoder`, opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let config = model.manifest().vq()?.clone();
        let graph = model.lazy_graph(GraphKind::VqDecoder, options)?;
        Ok(Self { graph, config })
    }

    /// Sizes of the tokenizer.
    pub fn config(&self) -> &VqConfig {
        &self.config
    }

    /// Decodes pictures.
    pub fn decode(&mut self, tokens: &ImageTokens) -> Result<Vec<RgbImage>> {
        Ok(pixels_to_pictures(self.decode_pixels(tokens)?.view()))
    }

    /// Decodes to `[n, 3, size, size]`, about −1 to 1, not clamped.
    ///
    /// Pictures are decoded one by one: the widest layer of a picture of 384 × 384 takes 75 MB,
    /// and several at once are no faster.
    pub fn decode_pixels(&mut self, tokens: &ImageTokens) -> Result<Array4<f32>> {
        let size = self.config.image_size;
        let mut pixels = Array4::zeros((tokens.len(), 3, size, size));
        for (picture, mut target) in pixels.axis_chunks_iter_mut(Axis(0), 1).enumerate() {
            let row = tokens.view().slice_move(s![picture..=picture, ..]);
            let mut outputs = self
                .graph
                .get()?
                .run(&[(tensors::IMAGE_TOKENS, row.into())])?;
            let decoded = outputs.take_finite(tensors::PIXELS)?;
            target.assign(&with_shape(tensors::PIXELS, decoded, [1, 3, size, size])?);
        }
        Ok(pixels)
    }
}
