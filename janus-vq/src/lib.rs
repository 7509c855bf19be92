//! Pictures to image tokens and back: the VQ tokenizer of Janus.
//!
//! Use this crate to decode image tokens that were made or stored elsewhere, or to encode
//! pictures, be it for training, for editing, or to see how much of a picture its tokens keep.
//! To draw from a text use `janus-pipeline`, which generates the tokens and then calls this
//! crate. To ask about a picture use `janus-vision`: Janus understands pictures through another
//! encoder.
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
//!
//! let picture = image::RgbImage::from_fn(200, 150, |x, y| image::Rgb([x as u8, y as u8, 90]));
//! let tokens = VqEncoder::open(&model, &options)?.encode(&[picture])?;
//! assert_eq!(tokens.view().shape(), [1, model.manifest().vq.num_tokens()]);
//!
//! let pictures = VqDecoder::open(&model, &options)?.decode(&tokens)?;
//! let side = model.manifest().vq.image_size as u32;
//! assert_eq!(pictures[0].dimensions(), (side, side));
//! # Ok(())
//! # }
//! ```

mod decoder;
mod encoder;
mod error;
mod output;
mod pixels;
mod tokens;

pub use decoder::VqDecoder;
pub use encoder::VqEncoder;
pub use error::{Error, Result};
pub use pixels::{pixels_from_images, pixels_to_images};
pub use tokens::ImageTokens;
