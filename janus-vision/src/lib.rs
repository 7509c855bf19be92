//! Pictures to image embeddings: the preprocessing and the understanding encoder of Janus.
//!
//! Use this crate to look at pictures without the rest of the model: for embeddings, or to check
//! what the model is shown. To ask questions about a picture use `janus-pipeline`, which calls
//! this crate. To turn a picture into image tokens use `janus-vq`, whose encoder is another
//! network with another preprocessing.
//!
//! A picture takes three steps:
//!
//! 1. [`open_image`] or [`decode_image`] read PNG, JPEG and WebP files, from strangers too, within
//!    [`ImageLimits`]; any other [`image::RgbImage`] will do as well.
//! 2. [`VisionEncoder::preprocess`] makes [`PixelValues`]. The bytes behind them, which
//!    [`fit_to_square`] gives, are those of the official code with Pillow 12, every one of them.
//! 3. [`VisionEncoder::encode`] makes [`ImageEmbeds`].
//!
//! ```
//! use janus_runtime::{ModelDir, SessionOptions};
//! use janus_vision::{VisionEncoder, open_image};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! # let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/preprocess/06_411x217_jpeg.jpg");
//! let mut encoder = VisionEncoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
//! let pixel_values = encoder.preprocess(&[open_image(photo)?]);
//! let image_embeds = encoder.encode(&pixel_values)?;
//! assert_eq!(image_embeds.len(), 1);
//! # Ok(())
//! # }
//! ```

mod decode;
mod encoder;
mod error;
mod jpeg;
mod preprocess;
mod resample;

pub use decode::{ImageLimits, decode_image, open_image};
pub use encoder::{ImageEmbeds, VisionEncoder};
pub use error::{ImageError, Origin};
pub use preprocess::{Convention, PixelValues, fit_to_square};
