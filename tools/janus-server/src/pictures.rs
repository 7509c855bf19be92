//! Pictures in requests: from data URLs, and from other servers where that is allowed.

mod addresses;
mod remote;

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use janus_vision::ImageLimits;

use crate::error::ApiError;
use crate::settings::Settings;
pub(crate) use remote::Remote;

/// Where the pictures of a request come from, and how large they may be.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    limits: ImageLimits,
    remote: Option<Remote>,
    /// Until when those of other servers have to be there.
    deadline: Instant,
}

impl Pictures {
    /// Those of a request that comes now; without `remote`, data URLs alone.
    pub(crate) fn new(settings: &Settings, remote: Option<&Remote>) -> Self {
        let limits = ImageLimits {
            max_pixels: settings.max_pixels,
            ..ImageLimits::default()
        };
        Self {
            limits,
            remote: remote.cloned(),
            deadline: Instant::now() + settings.fetching(),
        }
    }

    /// The picture that the request has at `path`. Its contents decide what it is; what it claims to be
    /// must agree. This takes as long as it takes.
    pub(crate) fn get(&self, url: &str, path: &str) -> Result<RgbImage, ApiError> {
        let (claimed, bytes) = if let Some(rest) = url.strip_prefix("data:") {
            let (media, bytes) = self.data(rest, path)?;
            (Some(media.to_owned()), bytes)
        } else if let Some(remote) = &self.remote {
            remote.fetch(url, path, self.limits.max_bytes, self.deadline)?
        } else {
            let message = "pictures are sent as data URLs, `data:image/png;base64,…`; remote images are \
                           disabled";
            return Err(ApiError::invalid(path, message));
        };
        self.decode(&bytes, claimed.as_deref(), path)
    }

    /// What a data URL says it is, and its data.
    fn data<'a>(&self, rest: &'a str, path: &str) -> Result<(&'a str, Vec<u8>), ApiError> {
        let refuse = |message: &str| ApiError::invalid(path, message);
        let (media, data) = rest
            .split_once(',')
            .ok_or_else(|| refuse("a data URL should have a comma before its data"))?;
        let media = media
            .strip_suffix(";base64")
            .ok_or_else(|| refuse("a data URL should be in base64"))?;
        if (data.len() as u64).saturating_mul(3) / 4 > self.limits.max_bytes + 2 {
            return Err(too_many_bytes(path, self.limits.max_bytes));
        }
        let bytes = STANDARD
            .decode(data)
            .map_err(|error| refuse(&format!("the data is not base64: {error}")))?;
        Ok((media, bytes))
    }

    fn decode(
        &self,
        bytes: &[u8],
        claimed: Option<&str>,
        path: &str,
    ) -> Result<RgbImage, ApiError> {
        let refuse = |message: &str| ApiError::invalid(path, message);
        let found = match image::guess_format(bytes) {
            Ok(image::ImageFormat::Png) => "image/png",
            Ok(image::ImageFormat::Jpeg) => "image/jpeg",
            Ok(image::ImageFormat::WebP) => "image/webp",
            _ => return Err(refuse("a picture should be PNG, JPEG or WebP")),
        };
        let agrees = |claimed| claimed == found || (claimed, found) == ("image/jpg", "image/jpeg");
        if let Some(claimed) = claimed.filter(|claimed| !agrees(claimed)) {
            let message = format!("the picture says it is `{claimed}`, but is {found}");
            return Err(refuse(&message));
        }
        let decoded = self.limits.decode(bytes);
        decoded.map_err(|error| {
            // The decoder's own words may say more than strangers should know.
            refuse(&error.to_string())
        })
    }
}

fn too_many_bytes(path: &str, limit: u64) -> ApiError {
    ApiError::invalid(path, format!("the picture has more than {limit} bytes"))
}
