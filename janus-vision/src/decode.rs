//! Picture files to pixels, as the official loader reads them and no further than the limits.
//!
//! The official loader is Pillow with `convert("RGB")`: transparency is dropped rather than
//! blended, orientation tags and colour profiles are ignored, of an animation the first frame
//! counts, and 16-bit colours keep their high byte. One difference is deliberate: Pillow clips
//! 16-bit grey at 255, which turns a picture white; here it keeps its high byte too.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, Rgb, RgbImage,
};

use crate::error::{ImageError, Origin, Result};
use crate::jpeg::Jpeg;

/// Reads a PNG, JPEG or WebP file within the default [`ImageLimits`].
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/preprocess/00_500x333_rgb.png");
/// let picture = janus_vision::open_image(path)?;
/// assert_eq!(picture.dimensions(), (500, 333));
/// # Ok::<(), janus_vision::ImageError>(())
/// ```
pub fn open_image(path: impl AsRef<Path>) -> Result<RgbImage> {
    ImageLimits::default().open(path)
}

/// Decodes the bytes of a PNG, JPEG or WebP file within the default [`ImageLimits`].
pub fn decode_image(bytes: &[u8]) -> Result<RgbImage> {
    ImageLimits::default().decode(bytes)
}

/// How large a picture may be. All limits are checked before pixels are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Length of the file in bytes.
    pub max_bytes: u64,
    /// Width, and height, in pixels.
    pub max_side: u32,
    /// Width times height.
    pub max_pixels: u64,
}

impl Default for ImageLimits {
    /// 20 MB, 8192 × 8192 and 40 million pixels.
    fn default() -> Self {
        Self {
            max_bytes: 20_000_000,
            max_side: 8192,
            max_pixels: 40_000_000,
        }
    }
}

impl ImageLimits {
    /// Reads a PNG, JPEG or WebP file; its contents decide which, not its name.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<RgbImage> {
        let path = path.as_ref();
        let bytes = read(path, self.max_bytes).map_err(|source| ImageError::Read {
            path: path.to_owned(),
            source,
        })?;
        self.decode_from(&bytes, &Origin::File(path.to_owned()))
    }

    /// Decodes the bytes of a PNG, JPEG or WebP file.
    pub fn decode(&self, bytes: &[u8]) -> Result<RgbImage> {
        self.decode_from(bytes, &Origin::Bytes)
    }

    fn decode_from(&self, bytes: &[u8], origin: &Origin) -> Result<RgbImage> {
        if bytes.len() as u64 > self.max_bytes {
            return Err(ImageError::TooManyBytes {
                image: origin.clone(),
                limit: self.max_bytes,
            });
        }
        let decode = match image::guess_format(bytes) {
            Ok(ImageFormat::Jpeg) => decode_jpeg,
            Ok(ImageFormat::Png | ImageFormat::WebP) => decode_png_or_webp,
            _ => {
                return Err(ImageError::Format {
                    image: origin.clone(),
                });
            }
        };
        // Decoders of hostile files do panic now and then, and one picture must not end a server.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(bytes, self, origin)));
        decoded.unwrap_or_else(|_| {
            Err(ImageError::DecoderPanic {
                image: origin.clone(),
            })
        })
    }

    /// Compares what a file's header declares with the limits.
    fn check_size(&self, width: u32, height: u32, origin: &Origin) -> Result<()> {
        let image = origin.clone();
        if width == 0 || height == 0 {
            return Err(ImageError::NoPixels {
                image,
                width,
                height,
            });
        }
        if width.max(height) > self.max_side {
            return Err(ImageError::TooLong {
                image,
                width,
                height,
                limit: self.max_side,
            });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(ImageError::TooManyPixels {
                image,
                width,
                height,
                limit: self.max_pixels,
            });
        }
        Ok(())
    }
}

/// Reads at most one byte more than the limit, enough to see that a file exceeds it.
fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn decode_jpeg(bytes: &[u8], limits: &ImageLimits, origin: &Origin) -> Result<RgbImage> {
    let failed = |source| ImageError::Decode {
        image: origin.clone(),
        source,
    };
    let jpeg = Jpeg::open(bytes).map_err(failed)?;
    let (width, height) = jpeg.dimensions();
    limits.check_size(width, height, origin)?;
    jpeg.decode().map_err(failed)
}

fn decode_png_or_webp(bytes: &[u8], limits: &ImageLimits, origin: &Origin) -> Result<RgbImage> {
    let failed = |source: image::ImageError| ImageError::Decode {
        image: origin.clone(),
        source: source.into(),
    };
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|source| failed(source.into()))?;
    let mut decoder_limits = Limits::default();
    // Eight bytes are the widest pixel; ancillary chunks are bounded by the same number.
    decoder_limits.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    reader.limits(decoder_limits);
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height, origin)?;
    DynamicImage::from_decoder(decoder)
        .map(into_rgb8)
        .map_err(failed)
}

/// Drops transparency and the low byte of 16-bit colours, as Pillow does.
fn into_rgb8(picture: DynamicImage) -> RgbImage {
    let high = |level: u16| (level >> 8) as u8;
    match picture {
        DynamicImage::ImageLuma16(gray) => map(&gray, |pixel| [high(pixel[0]); 3]),
        DynamicImage::ImageLumaA16(gray) => map(&gray, |pixel| [high(pixel[0]); 3]),
        DynamicImage::ImageRgb16(rgb) => map(&rgb, |pixel| pixel.0.map(high)),
        DynamicImage::ImageRgba16(rgba) => map(&rgba, |pixel| {
            let [red, green, blue, _] = pixel.0;
            [red, green, blue].map(high)
        }),
        eight_bits => eight_bits.into_rgb8(),
    }
}

fn map<P: Pixel>(
    picture: &ImageBuffer<P, Vec<P::Subpixel>>,
    to_rgb: impl Fn(&P) -> [u8; 3],
) -> RgbImage {
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width, height, |x, y| Rgb(to_rgb(picture.get_pixel(x, y))))
}

#[cfg(test)]
mod tests;
