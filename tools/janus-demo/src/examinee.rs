//! Whoever is examined: a model behind three abilities.

use image::RgbImage;

use crate::error::AnyError;

/// One picture to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawRequest<'a> {
    /// What to draw.
    pub prompt: &'a str,
    /// What to seed the sampling with.
    pub seed: u64,
}

/// Something that draws, answers and, if it has one, passes pictures through its image tokenizer.
///
/// Pictures may be of any size; the judge scales them to the world's.
pub trait Examinee {
    /// Draws one picture.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from drawing; the examination stops.
    fn draw(&mut self, prompt: &str, seed: u64) -> Result<RgbImage, AnyError>;

    /// Answers a question about a picture.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from answering; the examination stops.
    fn answer(&mut self, picture: &RgbImage, question: &str) -> Result<String, AnyError>;

    /// Whether it has an image tokenizer, which [`Examinee::round_trip`] takes pictures through.
    fn has_image_tokenizer(&self) -> bool {
        true
    }

    /// Encodes a picture to image tokens and decodes them again.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from doing so; the examination stops.
    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError>;

    /// How many pictures [`Examinee::draw_batch`] draws best at once.
    fn batch_size(&self) -> usize {
        1
    }

    /// Draws a picture for every request, in their order.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from drawing; the examination stops.
    fn draw_batch(&mut self, requests: &[DrawRequest<'_>]) -> Result<Vec<RgbImage>, AnyError> {
        requests
            .iter()
            .map(|request| self.draw(request.prompt, request.seed))
            .collect()
    }
}
