//! The VQ tokenizer of Janus: pictures to image tokens and back.
//!
//! Use this crate to turn image tokens into pictures ([`VqDecoder`]) or pictures into image
//! tokens ([`VqEncoder`]), without a language model. To draw from a sentence use
//! `janus-pipeline`; to understand photos the model has another encoder, in `janus-vision`.
//!
//! ```
//! use janus_runtime::{ModelDir, SessionOptions};
//! use janus_vq::{VqDecoder, VqEncoder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! let model = ModelDir::open(path)?;
//! let options = SessionOptions::default();
//! let picture = image::RgbImage::from_pixel(48, 48, image::Rgb([245; 3]));
//! let tokens = VqEncoder::open(&model, &options)?.encode(&[picture])?;
//! let pictures = VqDecoder::open(&model, &options)?.decode(&tokens)?;
//! assert_eq!(pictures[0].dimensions(), (48, 48));
//! # Ok(())
//! # }
//! ```

mod decoder;
mod encoder;
mod error;
mod pixels;
mod tokens;

pub use decoder::VqDecoder;
pub use encoder::VqEncoder;
pub use error::{Error, Result};
pub use pixels::{pixels_from_pictures, pixels_to_pictures};
pub use tokens::ImageTokens;
