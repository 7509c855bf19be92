//! Image tokens to pictures.

use image::RgbImage;
use janus_runtime::manifest::VqConfig;
use janus_runtime::{Graph, GraphKind, Input, ModelDir, SessionOptions, tensors};
use ndarray::{Array4, Ix4};

use crate::error::{Error, Result};
use crate::pixels::to_pictures;
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
/// let row = vec![ImageToken(0); decoder.config().num_tokens()];
/// let tokens = ImageTokens::from_rows(&[row], decoder.config())?;
/// let pictures = decoder.decode(&tokens)?;
/// assert_eq!(pictures[0].width() as usize, decoder.config().image_size);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VqDecoder {
    graph: Graph,
    config: VqConfig,
}

impl VqDecoder {
    /// Opens `vq_decoder.onnx`.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let graph = model.graph(GraphKind::VqDecoder, options)?;
        Ok(Self {
            graph,
            config: model.manifest().vq.clone(),
        })
    }

    /// Sizes of the tokenizer.
    pub fn config(&self) -> &VqConfig {
        &self.config
    }

    /// Decodes pictures.
    pub fn decode(&mut self, tokens: &ImageTokens) -> Result<Vec<RgbImage>> {
        Ok(to_pictures(self.decode_pixels(tokens)?.view()))
    }

    /// Decodes to `[n, 3, size, size]`, about −1 to 1, not clamped.
    ///
    /// Pictures are decoded one by one: the widest layer of a picture of 384 × 384 takes 75 MB,
    /// and several at once are no faster.
    pub fn decode_pixels(&mut self, tokens: &ImageTokens) -> Result<Array4<f32>> {
        let size = self.config.image_size;
        let mut pixels = Array4::zeros((tokens.len(), 3, size, size));
        for (picture, mut target) in pixels.outer_iter_mut().enumerate() {
            let row = tokens
                .view()
                .slice_move(ndarray::s![picture..picture + 1, ..]);
            let mut outputs = self
                .graph
                .run(&[(tensors::IMAGE_TOKENS, Input::from(row))])?;
            let decoded = outputs.take_finite(tensors::PIXELS)?;
            if decoded.shape() != [1, 3, size, size] {
                return Err(Error::Shape {
                    tensor: tensors::PIXELS,
                    found: decoded.shape().to_vec(),
                    expected: format!("[1, 3, {size}, {size}]"),
                });
            }
            if let Ok(decoded) = decoded.into_dimensionality::<Ix4>() {
                target.assign(&decoded.index_axis(ndarray::Axis(0), 0));
            }
        }
        Ok(pixels)
    }
}
