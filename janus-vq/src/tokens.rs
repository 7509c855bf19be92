//! Pictures as grids of codebook indices.

use janus_runtime::manifest::VqConfig;
use janus_runtime::{ImageToken, Token};
use ndarray::{Array2, ArrayView2, Axis};

use crate::error::{Error, Result};

/// Pictures as grids of codebook indices: a row for each, its grid in raster order.
///
/// Every row is complete and every token is in the codebook of the model that it was made for.
///
/// ```
/// use janus_runtime::{ImageToken, manifest::VqConfig};
/// use janus_vq::ImageTokens;
///
/// let config = VqConfig { codebook_size: 128, grid: [2, 2], image_size: 32 };
/// let [sky, sea] = [ImageToken(7), ImageToken(100)];
///
/// let tokens = ImageTokens::from_rows(&[vec![sky, sky, sea, sea]], &config)?;
/// assert_eq!(tokens.view(), ndarray::arr2(&[[7, 7, 100, 100]]));
///
/// let unfinished = ImageTokens::padded(&[vec![sky, sky, sea]], sea, &config)?;
/// assert_eq!(unfinished, tokens);
/// # Ok::<(), janus_vq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTokens(Array2<i64>);

impl ImageTokens {
    /// Takes the tokens of each picture.
    ///
    /// # Errors
    ///
    /// [`Error::TokenCount`] where a picture is not complete, [`Error::TokenRange`] where a token
    /// is not in the codebook.
    pub fn from_rows(rows: &[Vec<ImageToken>], config: &VqConfig) -> Result<Self> {
        let expected = config.num_tokens();
        let differs = |row: &Vec<ImageToken>| row.len() != expected;
        if let Some(picture) = rows.iter().position(differs) {
            return Err(Error::TokenCount {
                picture,
                found: rows[picture].len(),
                expected,
            });
        }
        let index = |(picture, position): (usize, usize)| rows[picture][position].index().into();
        Self::checked(Array2::from_shape_fn((rows.len(), expected), index), config)
    }

    /// Takes the tokens of pictures that may be incomplete, `fill` standing for those to come.
    ///
    /// # Errors
    ///
    /// [`Error::TokenCount`] where a picture has too many tokens, [`Error::TokenRange`] where a
    /// token, or `fill`, is not in the codebook.
    pub fn padded(rows: &[Vec<ImageToken>], fill: ImageToken, config: &VqConfig) -> Result<Self> {
        let complete = |row: &Vec<ImageToken>| {
            let missing = config.num_tokens().saturating_sub(row.len());
            [row.as_slice(), &vec![fill; missing]].concat()
        };
        Self::from_rows(&rows.iter().map(complete).collect::<Vec<_>>(), config)
    }

    /// Takes indices `[n, tokens]`, as graphs give them.
    ///
    /// # Errors
    ///
    /// [`Error::TokenCount`] where a picture is not complete, [`Error::TokenRange`] where a token
    /// is not in the codebook.
    pub fn from_indices(indices: Array2<i64>, config: &VqConfig) -> Result<Self> {
        let (found, expected) = (indices.len_of(Axis(1)), config.num_tokens());
        if found != expected {
            return Err(Error::TokenCount {
                picture: 0,
                found,
                expected,
            });
        }
        Self::checked(indices, config)
    }

    fn checked(indices: Array2<i64>, config: &VqConfig) -> Result<Self> {
        let codebook_size = config.codebook_size;
        let known = |index: i64| usize::try_from(index).is_ok_and(|index| index < codebook_size);
        match indices.indexed_iter().find(|(_, index)| !known(**index)) {
            Some(((picture, position), &found)) => Err(Error::TokenRange {
                picture,
                position,
                found,
                codebook_size,
            }),
            None => Ok(Self(indices)),
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.0.len_of(Axis(0))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices, `[n, tokens]`.
    pub fn view(&self) -> ArrayView2<'_, i64> {
        self.0.view()
    }

    /// The tokens of each picture.
    pub fn to_rows(&self) -> Vec<Vec<ImageToken>> {
        // No index exceeds the codebook's size, which the manifest bounds.
        let token = |index: &i64| ImageToken(*index as u32);
        let rows = self.0.outer_iter();
        rows.map(|row| row.iter().map(token).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    const CONFIG: VqConfig = VqConfig {
        codebook_size: 16,
        grid: [2, 3],
        image_size: 48,
    };

    fn tokens<const N: usize>(indices: [u32; N]) -> Vec<ImageToken> {
        indices.map(ImageToken).into()
    }

    #[test]
    fn rows_go_in_and_come_out() {
        let rows = vec![tokens([0, 1, 2, 3, 4, 15]), tokens([5; 6])];
        let grid = ImageTokens::from_rows(&rows, &CONFIG).unwrap();
        assert_eq!(grid.len(), 2);
        assert_eq!(grid.to_rows(), rows);
        let same = ImageTokens::from_indices(grid.view().to_owned(), &CONFIG).unwrap();
        assert_eq!(same, grid);
        assert!(ImageTokens::from_rows(&[], &CONFIG).unwrap().is_empty());
    }

    #[test]
    fn unfinished_rows_are_filled() {
        let rows = [tokens([]), tokens([7, 8]), tokens([1; 6])];
        let grid = ImageTokens::padded(&rows, ImageToken(9), &CONFIG).unwrap();
        let expected = arr2(&[[9, 9, 9, 9, 9, 9], [7, 8, 9, 9, 9, 9], [1, 1, 1, 1, 1, 1]]);
        assert_eq!(grid.view(), expected);
    }

    #[test]
    fn errors_name_picture_position_and_limit() {
        let whole = tokens([0; 6]);
        let message = |result: Result<ImageTokens>| result.unwrap_err().to_string();
        for (result, expected) in [
            (
                ImageTokens::from_rows(&[whole.clone(), tokens([0; 5])], &CONFIG),
                "picture 1 has 5 image tokens; the model's pictures have 6",
            ),
            (
                ImageTokens::padded(&[tokens([0; 7])], ImageToken(0), &CONFIG),
                "picture 0 has 7 image tokens; the model's pictures have 6",
            ),
            (
                ImageTokens::from_rows(&[whole, tokens([0, 0, 16, 0, 0, 0])], &CONFIG),
                "image token 2 of picture 1 is 16; the codebook has 16 entries",
            ),
            (
                ImageTokens::padded(&[tokens([1])], ImageToken(u32::MAX), &CONFIG),
                "image token 1 of picture 0 is 4294967295; the codebook has 16 entries",
            ),
            (
                ImageTokens::from_indices(arr2(&[[0, 0, 0, 0, 0, -1]]), &CONFIG),
                "image token 5 of picture 0 is -1; the codebook has 16 entries",
            ),
            (
                ImageTokens::from_indices(arr2(&[[0, 0]]), &CONFIG),
                "picture 0 has 2 image tokens; the model's pictures have 6",
            ),
        ] {
            assert_eq!(message(result), expected);
        }
    }
}
