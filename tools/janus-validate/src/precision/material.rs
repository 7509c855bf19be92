//! What a comparison makes the models say and draw.

mod synthetic;

use image::RgbImage;

use crate::error::{Error, Result};

/// Prompts, questions and pictures that sequences are made from.
///
/// Each list is gone through from its beginning, and again where more sequences are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// What to draw.
    pub drawings: Vec<String>,
    /// What to ask without a picture.
    pub questions: Vec<String>,
    /// Pictures, and what to ask about each.
    pub shown: Vec<Shown>,
}

/// A picture and a question about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The picture.
    pub picture: RgbImage,
    /// The question.
    pub question: String,
}

impl Material {
    /// Material for any model: everyday sentences and two synthetic pictures.
    pub fn generic() -> Self {
        Self {
            drawings: DRAWINGS.map(str::to_owned).to_vec(),
            questions: QUESTIONS.map(str::to_owned).to_vec(),
            shown: shown(&QUESTIONS_ABOUT_PICTURES.map(str::to_owned)),
        }
    }

    /// The prompts of one's own, drawn as well as asked, and the synthetic pictures.
    ///
    /// # Errors
    ///
    /// [`Error::NoMaterial`] where there are none.
    pub fn of_prompts(prompts: Vec<String>) -> Result<Self> {
        let material = Self {
            shown: shown(&prompts),
            questions: prompts.clone(),
            drawings: prompts,
        };
        material.check()?;
        Ok(material)
    }

    /// Checks that no list is empty.
    pub(crate) fn check(&self) -> Result<()> {
        let lists = [
            ("prompts to draw", self.drawings.len()),
            ("questions", self.questions.len()),
            ("pictures", self.shown.len()),
        ];
        match lists.into_iter().find(|(_, length)| *length == 0) {
            Some((what, _)) => Err(Error::NoMaterial { what }),
            None => Ok(()),
        }
    }
}

/// The synthetic pictures, each with a question.
fn shown(questions: &[String]) -> Vec<Shown> {
    let pictures = synthetic::pictures().into_iter();
    pictures
        .zip(questions.iter().cycle())
        .map(|(picture, question)| Shown {
            picture,
            question: question.clone(),
        })
        .collect()
}

const DRAWINGS: [&str; 24] = [
    "A red fox in fresh snow, early morning light.",
    "A lighthouse on a cliff during a storm, oil painting.",
    "Three green apples in a wooden bowl.",
    "A portrait of an old fisherman with a grey beard, sharp focus.",
    "A city street at night in the rain, neon signs reflected on the ground.",
    "A blue bicycle leaning against a yellow wall.",
    "An astronaut riding a horse on the moon.",
    "A bowl of noodle soup with chopsticks, seen from above.",
    "A small wooden cabin beside a mountain lake in autumn.",
    "A cat asleep on a pile of books.",
    "A watercolour of a sailing boat on a calm sea.",
    "A glass of water on a kitchen table, sunlight from the left.",
    "A stained glass window with a peacock.",
    "Two children flying a kite on a beach.",
    "A close-up of a bee on a sunflower.",
    "An old steam train crossing a stone bridge.",
    "A logo of a leaf inside a circle, flat design, two colours.",
    "A robot watering plants in a greenhouse.",
    "A snowy forest path with footprints.",
    "A slice of chocolate cake on a white plate.",
    "A market stall with oranges, lemons and grapes.",
    "A medieval castle on a hill at sunset, wide angle.",
    "A pair of worn leather boots on a doorstep.",
    "An abstract composition of black lines and red squares.",
];

const QUESTIONS: [&str; 16] = [
    "What is the capital of France, and which river runs through it?",
    "Explain in two sentences why the sky is blue.",
    "Write a short poem about the sea.",
    "How do I boil an egg so that the yolk stays soft?",
    "List five animals that lay eggs.",
    "What is the difference between weather and climate?",
    "Translate into German: The train leaves at half past nine.",
    "A shirt costs 20 and is reduced by 15 percent. What does it cost now?",
    "Who wrote The Old Man and the Sea?",
    "Give me three ideas for a birthday present for a gardener.",
    "Write a function that reverses a list.",
    "What should I take along on a hike in the mountains?",
    "Summarise the story of Romeo and Juliet in one paragraph.",
    "Why do leaves change colour in autumn?",
    "Is a tomato a fruit or a vegetable?",
    "Tell me something interesting about octopuses.",
];

const QUESTIONS_ABOUT_PICTURES: [&str; 2] =
    ["Describe this picture in detail.", "What can be seen here?"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_prompts_take_the_place_of_the_sentences() {
        let prompts = vec!["a heron".to_owned(), "a quay".to_owned(), "mist".to_owned()];
        let material = Material::of_prompts(prompts.clone()).unwrap();
        assert_eq!(material.drawings, prompts);
        assert_eq!(material.questions, prompts);
        let generic = Material::generic();
        assert_eq!(material.shown.len(), generic.shown.len());
        assert_eq!(material.shown[1].question, "a quay");
        assert_eq!(material.shown[1].picture, generic.shown[1].picture);
        let error = Material::of_prompts(Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "there are no prompts to draw to compare with");
    }
}
