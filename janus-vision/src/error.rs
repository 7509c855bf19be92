//! Why a picture could not be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The result of reading a picture.
pub(crate) type Result<T, E = ImageError> = std::result::Result<T, E>;
/// What a decoder said.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a picture could not be read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is longer than the limit.
    #[error("{image} has more than {limit} bytes")]
    TooManyBytes {
        /// Where the picture comes from.
        image: Origin,
        /// [`ImageLimits::max_bytes`](crate::ImageLimits::max_bytes).
        limit: u64,
    },
    /// The contents are of another kind.
    #[error("{image} is not a PNG, JPEG or WebP picture")]
    Format {
        /// Where the picture comes from.
        image: Origin,
    },
    /// The picture has no width or no height.
    #[error("{image} is {width} × {height} pixels large")]
    NoPixels {
        /// Where the picture comes from.
        image: Origin,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The picture is wider or higher than the limit.
    #[error("{image} is {width} × {height} pixels large; no side may exceed {limit}")]
    TooLong {
        /// Where the picture comes from.
        image: Origin,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// [`ImageLimits::max_side`](crate::ImageLimits::max_side).
        limit: u32,
    },
    /// The picture has more pixels than the limit.
    #[error("{image} is {width} × {height} pixels large; it may have {limit} pixels")]
    TooManyPixels {
        /// Where the picture comes from.
        image: Origin,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// [`ImageLimits::max_pixels`](crate::ImageLimits::max_pixels).
        limit: u64,
    },
    /// The contents are damaged, cut off, or of a rare kind that the decoder does not know.
    #[error("cannot decode {image}")]
    Decode {
        /// Where the picture comes from.
        image: Origin,
        /// What the decoder said.
        #[source]
        source: Source,
    },
    /// The decoder stopped at contents that it should have refused.
    #[error("cannot decode {image}: the decoder failed")]
    DecoderPanic {
        /// Where the picture comes from.
        image: Origin,
    },
}

/// Where a picture comes from, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Bytes that the caller had.
    Bytes,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Bytes => f.write_str("the picture"),
        }
    }
}
