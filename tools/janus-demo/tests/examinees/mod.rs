//! Examinees of known ability, to examine the examination.

use image::{Rgb, RgbImage};
use janus_demo::{
    AnyError, Background, Cell, Colour, Dice, Examinee, Kind, Reading, Relation, Scene, Shape,
    Split, Word, World, render,
};

use crate::notation::word;

/// Draws what the prompt says, word by word, and answers from what the judge reads.
pub(crate) struct Truthful;

impl Examinee for Truthful {
    fn draw(&mut self, prompt: &str, _seed: u64) -> Result<RgbImage, AnyError> {
        Ok(render(&scene_of_prompt(prompt)))
    }

    fn answer(&mut self, picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        let scene = Reading::of(picture)
            .scene()
            .ok_or("the picture is not recognised")?;
        Ok(answer_from(&scene, question))
    }

    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
        Ok(picture.clone())
    }
}

/// Draws noise and says "banana".
pub(crate) struct Nonsense;

impl Examinee for Nonsense {
    fn draw(&mut self, _prompt: &str, seed: u64) -> Result<RgbImage, AnyError> {
        let mut dice = Dice::new(seed, 0);
        Ok(RgbImage::from_fn(48, 48, |_, _| {
            Rgb([0, 0, 0].map(|_: u8| dice.below(256) as u8))
        }))
    }

    fn answer(&mut self, _picture: &RgbImage, _question: &str) -> Result<String, AnyError> {
        Ok("banana".to_owned())
    }

    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
        Ok(RgbImage::new(picture.width(), picture.height()))
    }
}

/// Draws any scene and guesses among the answers that fit the question, looking at nothing.
pub(crate) struct Guesser(pub(crate) Dice);

impl Examinee for Guesser {
    fn draw(&mut self, _prompt: &str, seed: u64) -> Result<RgbImage, AnyError> {
        Ok(render(&Scene::sample(
            &mut Dice::new(seed, 0),
            Split::Trained,
        )))
    }

    fn answer(&mut self, _picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        let guesses = match question {
            _ if question.contains("background") => names::<Background>(),
            _ if question.contains("colour is") => names::<Colour>(),
            _ if question.starts_with("how many") => World::get().numbers.clone(),
            _ if question.starts_with("where") => World::get().cells.clone(),
            _ if question.starts_with("is") => vec!["yes".to_owned(), "no".to_owned()],
            _ => names::<Kind>(),
        };
        Ok(self.0.pick(&guesses).clone())
    }

    fn round_trip(&mut self, _picture: &RgbImage) -> Result<RgbImage, AnyError> {
        Ok(render(&Scene::sample(&mut self.0, Split::Trained)))
    }
}

fn names<W: Word>() -> Vec<String> {
    W::ALL.iter().map(|word| word.name().to_owned()).collect()
}

/// The first word of a list in a text; plurals count.
fn find<W: Word>(text: &str) -> Option<W> {
    text.split(|c: char| !c.is_alphabetic()).find_map(|part| {
        let singular = part.strip_suffix("es").and_then(word);
        singular
            .or_else(|| word(part.strip_suffix('s').unwrap_or(part)))
            .or_else(|| word(part))
    })
}

/// Fulfils a prompt from its words, without knowing how prompts are made.
fn scene_of_prompt(prompt: &str) -> Scene {
    let background = find(prompt).unwrap_or(Background::White);
    let cells = [
        ("above", [1, 7]),
        ("below", [7, 1]),
        ("left", [3, 5]),
        ("right", [5, 3]),
    ];
    let related = cells.iter().find(|(relation, _)| prompt.contains(relation));
    let numbers = World::get().numbers.iter();
    let count = numbers
        .clone()
        .position(|number| prompt.split(' ').any(|word| word == number));
    let phrases: Vec<&str> = match (related, count) {
        (Some((relation, _)), _) => prompt.split(relation).collect(),
        (None, Some(count)) => vec![prompt; count],
        (None, None) => prompt.split(" and ").collect(),
    };
    let free = [0, 2, 4, 6];
    let cells = related.map_or(&free[..], |(_, cells)| &cells[..]);
    let shapes = phrases.iter().zip(cells).map(|(phrase, &cell)| Shape {
        cell: Cell::new(cell).unwrap(),
        kind: find(phrase).unwrap(),
        colour: find(phrase).unwrap_or(Colour::Blue),
    });
    Scene::new(background, shapes.collect())
}

/// Answers from a scene by the words of the question, without knowing how questions are made.
fn answer_from(scene: &Scene, question: &str) -> String {
    let (kind, colour) = (find::<Kind>(question), find::<Colour>(question));
    let cells = World::get().cells.iter().enumerate();
    let cell = cells
        .filter(|(_, name)| question.contains(*name))
        .max_by_key(|(_, name)| name.len());
    let asked = |shape: &&Shape| {
        kind.is_none_or(|kind| shape.kind == kind)
            && colour.is_none_or(|colour| shape.colour == colour)
            && cell.is_none_or(|(index, _)| Cell::new(index) == Some(shape.cell))
    };
    let asked: Vec<_> = scene.shapes.iter().filter(asked).collect();
    let only = || asked[0];
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    match question {
        _ if question.contains("background") => scene.background.to_string(),
        "describe the picture." | "what is in the picture?" => {
            let phrases: Vec<_> = scene.shapes.iter().map(Shape::phrase).collect();
            phrases.join(" and ")
        }
        _ if question.starts_with("how many") => asked.len().to_string(),
        _ if question.starts_with("where") => only().cell.name().to_owned(),
        _ if question.contains("colour is") => only().colour.to_string(),
        _ if question.starts_with("is the") => match find::<Relation>(question) {
            Some(relation) => yes_or_no(relation_holds(scene, question, relation)),
            None => yes_or_no(!asked.is_empty()),
        },
        _ if question.starts_with("is") => yes_or_no(!asked.is_empty()),
        _ => only().kind.to_string(),
    }
}

fn relation_holds(scene: &Scene, question: &str, relation: Relation) -> bool {
    let mut kinds = question
        .split(|c: char| !c.is_alphabetic())
        .filter_map(word::<Kind>);
    let mut centre = || {
        let kind = kinds.next().unwrap();
        scene
            .shapes
            .iter()
            .find(|shape| shape.kind == kind)
            .unwrap()
            .cell
            .centre()
    };
    let (a, b) = (centre(), centre());
    match relation {
        Relation::Left => a.x < b.x,
        Relation::Right => a.x > b.x,
        Relation::Above => a.y < b.y,
        Relation::Below => a.y > b.y,
    }
}
