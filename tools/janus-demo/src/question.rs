//! Questions about a scene, with the one answer that is true.

use crate::dice::Dice;
use crate::prompt::Description;
use crate::scene::{Scene, Shape};
use crate::words::{Colour, Kind, Relation, Split, Topic, Word};
use crate::world::World;

/// A question about a scene and its true answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub topic: Topic,
    /// Whether the scene has a shape of a held-out pair.
    pub split: Split,
    /// The words for the model.
    pub text: String,
    /// The true answer, as training writes it: lower case, no full stop.
    pub answer: String,
    /// What the picture shows.
    pub scene: Scene,
}

impl Question {
    /// A random question of a topic about a fresh scene, with exactly one true answer.
    ///
    /// With [`Split::HeldOut`] a question about single shapes is about the held-out one. Yes and no
    /// are equally likely. With [`Split::Trained`] no word pair of the question is held out either.
    pub fn sample(dice: &mut Dice, topic: Topic, split: Split) -> Self {
        let yes = dice.chance(0.5);
        loop {
            let scene = Scene::sample(dice, split);
            let form = dice.pick(World::get().question_forms(topic)).as_str();
            let mut draft = Draft {
                dice,
                scene: &scene,
                split,
                yes,
            };
            if let Some((text, answer)) = draft.ask(topic, form) {
                return Self {
                    topic,
                    split,
                    text,
                    answer,
                    scene,
                };
            }
        }
    }

    /// Whether an answer says what is true.
    ///
    /// Case, outer spaces and a full stop do not count; "3" is "three", "center" is "centre"; a
    /// caption may name the shapes in any order.
    pub fn accepts(&self, answer: &str) -> bool {
        canonical(self.topic, answer) == canonical(self.topic, &self.answer)
    }
}

/// An answer reduced to what it says: its phrases in a fixed order.
fn canonical(topic: Topic, answer: &str) -> Vec<String> {
    let answer = answer.trim().trim_end_matches('.').to_lowercase();
    match topic {
        Topic::Caption => {
            let listed = answer.replace(" and ", ", ");
            let mut phrases: Vec<_> = listed.split(", ").map(str::to_owned).collect();
            phrases.sort_unstable();
            phrases
        }
        Topic::Count => {
            let number = answer
                .parse()
                .ok()
                .and_then(|n: usize| World::get().numbers.get(n));
            vec![number.cloned().unwrap_or(answer)]
        }
        _ => vec![answer.replace("center", "centre")],
    }
}

/// A question in the making.
struct Draft<'a> {
    dice: &'a mut Dice,
    scene: &'a Scene,
    split: Split,
    /// The answer to aim at, where there are only yes and no.
    yes: bool,
}

impl Draft<'_> {
    /// Question and answer; `None` if the form has no single answer in this scene.
    fn ask(&mut self, topic: Topic, form: &str) -> Option<(String, String)> {
        match topic {
            Topic::Colour => self.ask_of_one(form, |shape| shape.colour.name()),
            Topic::Kind => self.ask_of_one(form, |shape| shape.kind.name()),
            Topic::Position => self.ask_of_one(form, |shape| shape.cell.name()),
            Topic::Count => Some(self.ask_count(form)),
            Topic::YesNo => self.ask_yes_no(form),
            Topic::Relation => self.ask_relation(form),
            Topic::Background => Some((form.to_owned(), self.scene.background.to_string())),
            Topic::Caption => Some((form.to_owned(), caption(self.scene))),
        }
    }

    /// A question about one shape: the words must fit that shape only.
    fn ask_of_one(
        &mut self,
        form: &str,
        answer: fn(&Shape) -> &'static str,
    ) -> Option<(String, String)> {
        let shape = self.subject();
        let named = |slot: &str| form.contains(slot);
        let fits = |other: &&Shape| {
            (!named("{kind}") || other.kind == shape.kind)
                && (!named("{colour}") || other.colour == shape.colour)
                && (!named("{cell}") || other.cell == shape.cell)
        };
        if self.scene.shapes.iter().filter(fits).count() != 1 {
            return None;
        }
        let text = fill(form, shape.kind, shape.colour);
        Some((
            text.replace("{cell}", shape.cell.name()),
            answer(&shape).to_owned(),
        ))
    }

    /// Mostly of something that is there.
    fn ask_count(&mut self, form: &str) -> (String, String) {
        let (kind, colour) = if self.dice.chance(0.75) {
            let shape = self.dice.pick(&self.scene.shapes);
            (shape.kind, shape.colour)
        } else {
            (*self.dice.pick(Kind::ALL), *self.dice.pick(Colour::ALL))
        };
        let counted = |shape: &&Shape| {
            (!form.contains("{kinds}") || shape.kind == kind)
                && (!form.contains("{colour}") || shape.colour == colour)
        };
        let number = self.scene.shapes.iter().filter(counted).count();
        (
            fill(form, kind, colour),
            World::get().numbers[number].clone(),
        )
    }

    /// A "no" often mixes the kind of one shape with the colour of another.
    fn ask_yes_no(&mut self, form: &str) -> Option<(String, String)> {
        let shape = self.subject();
        let (mut kind, mut colour) = (shape.kind, shape.colour);
        if !self.yes {
            if self.dice.chance(0.6) {
                colour = self.dice.pick(&self.scene.shapes).colour;
            } else {
                colour = *self.dice.pick(Colour::ALL);
                kind = *self.dice.pick(Kind::ALL);
            }
        }
        let pair_named = !form.contains("{a.kind}");
        if pair_named && self.split == Split::Trained && World::get().is_held_out(colour, kind) {
            return None;
        }
        let of_kind: Vec<_> = self
            .scene
            .shapes
            .iter()
            .filter(|s| s.kind == kind)
            .collect();
        if form.contains("{kind}") && of_kind.len() != 1 {
            return None;
        }
        let there = of_kind
            .iter()
            .any(|shape| !pair_named || shape.colour == colour);
        let of_any_colour = Description { kind, colour: None };
        let described = Description {
            kind,
            colour: Some(colour),
        };
        let text = fill(form, kind, colour)
            .replace("{a.kind}", &of_any_colour.phrase())
            .replace("{a.colour_kind}", &described.phrase());
        (there == self.yes).then(|| (text, yes_or_no(there)))
    }

    /// Of two shapes in a row or column, each the only one of its kind.
    fn ask_relation(&mut self, form: &str) -> Option<(String, String)> {
        let chosen = self.dice.distinct(2, self.scene.shapes.len());
        let [a, b] = chosen[..] else {
            return None;
        };
        let (a, b) = (self.scene.shapes[a], self.scene.shapes[b]);
        let alone = |kind: Kind| self.scene.shapes.iter().filter(|s| s.kind == kind).count() == 1;
        let about_split = self.split == Split::Trained || a.is_held_out() || b.is_held_out();
        if !alone(a.kind) || !alone(b.kind) || !about_split {
            return None;
        }
        let (first, second) = if self.yes { (a, b) } else { (b, a) };
        let mut relations = Relation::ALL.iter();
        let relation = relations.find(|&&relation| first.cell.stands(relation, second.cell))?;
        let text = form
            .replace("{kind}", a.kind.name())
            .replace(
                "{relation}",
                self.dice
                    .pick(World::get().relation_words(*relation))
                    .as_str(),
            )
            .replace("{other}", b.kind.name());
        Some((text, yes_or_no(self.yes)))
    }

    /// The shape to ask about.
    fn subject(&mut self) -> Shape {
        let held_out = self.scene.shapes.iter().find(|shape| shape.is_held_out());
        *held_out.unwrap_or_else(|| self.dice.pick(&self.scene.shapes))
    }
}

fn fill(form: &str, kind: Kind, colour: Colour) -> String {
    form.replace("{kind}", kind.name())
        .replace("{kinds}", World::get().plural(kind))
        .replace("{colour}", colour.name())
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// "a red circle, a blue square and a green drop", in reading order.
fn caption(scene: &Scene) -> String {
    let phrases: Vec<_> = scene.shapes.iter().map(Shape::phrase).collect();
    match phrases.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(topic: Topic, split: Split) -> impl Iterator<Item = Question> {
        (0..300).map(move |stream| Question::sample(&mut Dice::new(5, stream), topic, split))
    }

    #[test]
    fn every_slot_is_filled() {
        for &topic in Topic::ALL {
            for question in questions(topic, Split::Trained) {
                assert!(!question.text.contains(['{', '}']), "{}", question.text);
                assert!(question.accepts(&question.answer));
            }
        }
    }

    #[test]
    fn yes_and_no_are_equally_likely() {
        for topic in [Topic::YesNo, Topic::Relation] {
            for split in [Split::Trained, Split::HeldOut] {
                let yes = questions(topic, split).filter(|question| question.answer == "yes");
                let yes = yes.count();
                assert!((115..185).contains(&yes), "{topic} {split}: {yes}");
            }
        }
    }

    #[test]
    fn trained_questions_name_no_held_out_pair() {
        for question in questions(Topic::YesNo, Split::Trained) {
            for (colour, kind) in &World::get().held_out {
                let pair =
                    question.text.contains(colour.name()) && question.text.contains(kind.name());
                assert!(!pair, "{}", question.text);
            }
        }
    }

    #[test]
    fn answers_are_read_leniently_where_they_say_the_same() {
        let cases = [
            (Topic::Colour, "red", "Red.", true),
            (Topic::Colour, "red", "reddish", false),
            (Topic::Count, "three", "3", true),
            (Topic::Count, "three", "4", false),
            (Topic::Position, "top centre", " top center ", true),
            (
                Topic::Caption,
                "a red drop and a blue shield",
                "a blue shield and a red drop",
                true,
            ),
            (
                Topic::Caption,
                "a red drop and a blue shield",
                "a red shield and a blue drop",
                false,
            ),
            (
                Topic::Caption,
                "a red drop and a red drop",
                "a red drop",
                false,
            ),
            (Topic::YesNo, "yes", "", false),
        ];
        for (topic, truth, answer, accepted) in cases {
            let question = Question {
                answer: truth.to_owned(),
                ..Question::sample(&mut Dice::new(1, 1), topic, Split::Trained)
            };
            assert_eq!(question.accepts(answer), accepted, "{truth:?} {answer:?}");
        }
    }
}
