//! Pictures as grids of image tokens.

use janus_runtime::ImageToken;
use janus_runtime::manifest::VqConfig;
use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

/// Image tokens of `n` pictures, each a grid in raster order: token *t* is in row *t* / columns.
///
/// ```
/// use janus_runtime::{ImageToken, manifest::VqConfig};
/// use janus_vq::ImageTokens;
///
/// let config = VqConfig { codebook_size: 128, grid: [2, 2], image_size: 32 };
/// let [sky, sea] = [ImageToken(7), ImageToken(100)];
///
/// let tokens = ImageTokens::from_rows(&[[sky, sky, sea, sea]], &config)?;
/// assert_eq!(tokens.view(), ndarray::arr2(&[[7, 7, 100, 100]]));
///
/// let unfinished = ImageTokens::padded(&[[sky, sky, sea]], sea, &config)?;
/// assert_eq!(unfinished, tokens);
/// # Ok::<(), janus_vq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTokens {
    /// `[n, tokens]`, every one inside the codebook.
    indices: Array2<i64>,
}

impl ImageTokens {
    /// Takes the tokens of each picture.
    ///
    /// # Errors
    ///
    /// [`Error::TokenCount`] where a row does not fill the grid, [`Error::Token`] where a token is
    /// outside of the codebook.
    pub fn from_rows<R: AsRef<[ImageToken]>>(rows: &[R], config: &VqConfig) -> Result<Self> {
        let expected = config.num_tokens();
        for (picture, row) in rows.iter().map(AsRef::as_ref).enumerate() {
            if row.len() != expected {
                return Err(Error::TokenCount {
                    picture,
                    found: row.len(),
                    expected,
                });
            }
        }
        let at = |(picture, position): (usize, usize)| {
            let row: &[ImageToken] = rows[picture].as_ref();
            i64::from(row[position].0)
        };
        Self::from_indices(Array2::from_shape_fn((rows.len(), expected), at), config)
    }

    /// Takes the tokens of pictures that are still being drawn; `fill` stands for those to come.
    ///
    /// # Errors
    ///
    /// As [`ImageTokens::from_rows`]; a row may be short, but not too long.
    pub fn padded<R: AsRef<[ImageToken]>>(
        rows: &[R],
        fill: ImageToken,
        config: &VqConfig,
    ) -> Result<Self> {
        let filled = rows.iter().map(|row| {
            let mut row = row.as_ref().to_vec();
            row.resize(row.len().max(config.num_tokens()), fill);
            row
        });
        Self::from_rows(&filled.collect::<Vec<_>>(), config)
    }

    /// Takes indices into the codebook, `[n, tokens]`.
    ///
    /// # Errors
    ///
    /// As [`ImageTokens::from_rows`].
    pub fn from_indices(indices: Array2<i64>, config: &VqConfig) -> Result<Self> {
        let (expected, limit) = (config.num_tokens(), config.codebook_size);
        if indices.ncols() != expected {
            return Err(Error::TokenCount {
                picture: 0,
                found: indices.ncols(),
                expected,
            });
        }
        for ((picture, position), &token) in indices.indexed_iter() {
            if !usize::try_from(token).is_ok_and(|token| token < limit) {
                return Err(Error::Token {
                    picture,
                    position,
                    token,
                    limit,
                });
            }
        }
        Ok(Self { indices })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.indices.nrows()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of a picture, in raster order.
    ///
    /// # Panics
    ///
    /// Where there is no such picture.
    pub fn row(&self, picture: usize) -> impl ExactSizeIterator<Item = ImageToken> {
        // `from_indices` made sure that every index is inside a codebook.
        self.indices
            .row(picture)
            .to_vec()
            .into_iter()
            .map(|token| ImageToken(token as u32))
    }

    /// Indices into the codebook, `[n, tokens]`.
    pub fn view(&self) -> ArrayView2<'_, i64> {
        self.indices.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: VqConfig = VqConfig {
        codebook_size: 10,
        grid: [2, 2],
        image_size: 32,
    };

    fn tokens(row: &[u32]) -> Vec<ImageToken> {
        row.iter().copied().map(ImageToken).collect()
    }

    #[test]
    fn rows_go_in_and_come_out() {
        let rows = [tokens(&[0, 9, 3, 4]), tokens(&[1, 1, 1, 1])];
        let grid = ImageTokens::from_rows(&rows, &CONFIG).unwrap();
        assert_eq!(grid.len(), 2);
        assert_eq!(grid.row(0).collect::<Vec<_>>(), rows[0]);
    }

    #[test]
    fn unfinished_rows_are_filled() {
        let rows = [tokens(&[]), tokens(&[7, 8]), tokens(&[1, 2, 3, 4])];
        let grid = ImageTokens::padded(&rows, ImageToken(9), &CONFIG).unwrap();
        assert_eq!(
            grid.view(),
            ndarray::arr2(&[[9, 9, 9, 9], [7, 8, 9, 9], [1, 2, 3, 4]])
        );
        assert!(ImageTokens::padded(&rows, ImageToken(10), &CONFIG).is_err());
        let long = ImageTokens::padded(&[tokens(&[0; 5])], ImageToken(0), &CONFIG).unwrap_err();
        assert_eq!(
            long.to_string(),
            "picture 0 has 5 image tokens; the grid has 4"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rows, message) in [
            (
                vec![tokens(&[0; 4]), tokens(&[0; 3])],
                "picture 1 has 3 image tokens; the grid has 4",
            ),
            (
                vec![tokens(&[0, 1, 10, 2])],
                "image token 10 at 2 of picture 0 is outside of the codebook of 10",
            ),
        ] {
            assert_eq!(
                ImageTokens::from_rows(&rows, &CONFIG)
                    .unwrap_err()
                    .to_string(),
                message
            );
        }
        let negative = Array2::from_elem((1, 4), -1);
        assert!(ImageTokens::from_indices(negative, &CONFIG).is_err());
    }
}
