//! Drawing tasks: a prompt and what a picture of it must show.

use crate::dice::Dice;
use crate::scene::{Cell, Scene, Shape};
use crate::words::{Background, Category, Colour, Kind, Relation, Split, Word};
use crate::world::World;

/// A prompt, what it asks for, and one scene that fulfils it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawingTask {
    /// What is being tested.
    pub category: Category,
    /// Whether an object of a held-out pair is asked for.
    pub split: Split,
    /// The words for the model.
    pub prompt: String,
    /// What the judge asks of a picture.
    pub wanted: Wanted,
    /// One of the scenes that fulfil the prompt.
    pub scene: Scene,
}

impl DrawingTask {
    /// A random task of a category.
    ///
    /// [`Split::HeldOut`] makes one object, in words too, of a held-out pair: it is for the
    /// categories that name colours ([`Category::names_pairs`]).
    pub fn sample(dice: &mut Dice, category: Category, split: Split) -> Self {
        let world = World::get();
        let form = dice.pick(world.prompt_forms(category)).as_str();
        let relation = form
            .contains("{relation}")
            .then(|| *dice.pick(Relation::ALL));
        let cells = match relation {
            Some(relation) => Cell::sample_related(dice, relation).to_vec(),
            None => {
                let count = sample_count(dice, form);
                Cell::sample_distinct(dice, count)
            }
        };
        let shapes = sample_shapes(dice, category, &cells, split);
        let objects = describe_shapes(form, &shapes);
        let background = *dice.pick(Background::ALL);
        let background_named = dice.chance(world.background_share);

        let what = fill(dice, form, &objects, relation);
        let mut prompt = dice.pick(&world.wordings).replace("{what}", &what);
        if background_named {
            let suffix = dice.pick(&world.background_suffixes);
            prompt += &suffix.replace("{background}", background.name());
        }
        Self {
            category,
            split,
            prompt,
            wanted: Wanted {
                objects,
                relation,
                background: background_named.then_some(background),
            },
            scene: Scene::new(background, shapes),
        }
    }
}

impl Category {
    /// Whether the prompts name a colour and a kind together, so that a pair can be held out.
    pub fn names_pairs(self) -> bool {
        matches!(self, Self::Colours | Self::ColourAttribution)
    }
}

/// Everything that a prompt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The objects: these, and no others.
    pub objects: Vec<Description>,
    /// Where the first object is, seen from the second.
    pub relation: Option<Relation>,
    /// The background, if it is named.
    pub background: Option<Background>,
}

/// What is said of an object; what is `None` is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Description {
    /// What it is.
    pub kind: Kind,
    /// Its colour, if that is named.
    pub colour: Option<Colour>,
}

impl Description {
    /// "a circle", "a red circle".
    pub fn phrase(&self) -> String {
        let kind = self.kind.name();
        let words = match self.colour {
            Some(colour) => format!("{colour} {kind}"),
            None => kind.to_owned(),
        };
        World::get().with_article(&words)
    }
}

/// How many objects a form without a relation has.
fn sample_count(dice: &mut Dice, form: &str) -> usize {
    match (form.contains("{n}"), form.contains("{b.")) {
        (true, _) => 2 + dice.below(World::get().max_shapes - 1),
        (false, two) => 1 + usize::from(two),
    }
}

/// Shapes that differ, or agree, as the category asks.
fn sample_shapes(dice: &mut Dice, category: Category, cells: &[Cell], split: Split) -> Vec<Shape> {
    loop {
        let held_out = dice.below(cells.len());
        let shapes: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(i, &cell)| {
                Shape::sample(
                    dice,
                    cell,
                    if i == held_out { split } else { Split::Trained },
                )
            })
            .collect();
        let kinds_agree = shapes.iter().all(|shape| shape.kind == shapes[0].kind);
        let pairs_agree =
            kinds_agree && shapes.iter().all(|shape| shape.colour == shapes[0].colour);
        let suitable = match category {
            Category::SingleObject | Category::Colours => true,
            Category::Counting => kinds_agree,
            Category::TwoObjects | Category::Position => !kinds_agree,
            Category::ColourAttribution => !pairs_agree,
        };
        if suitable {
            return shapes;
        }
    }
}

/// What the prompt will say of each shape.
fn describe_shapes(form: &str, shapes: &[Shape]) -> Vec<Description> {
    let describe = |(shape, letter): (&Shape, &str)| {
        let coloured = form.contains(&format!("{{{letter}.colour_kind}}"));
        Description {
            kind: shape.kind,
            colour: coloured.then_some(shape.colour),
        }
    };
    let letters = ["a", "b"].into_iter().chain(std::iter::repeat(""));
    shapes.iter().zip(letters).map(describe).collect()
}

fn fill(
    dice: &mut Dice,
    form: &str,
    objects: &[Description],
    relation: Option<Relation>,
) -> String {
    let world = World::get();
    let mut what = form
        .replace("{n}", &world.numbers[objects.len()])
        .replace("{kinds}", world.plural(objects[0].kind));
    for (object, letter) in objects.iter().zip(["a", "b"]) {
        for slot in ["kind", "colour_kind"] {
            what = what.replace(&format!("{{{letter}.{slot}}}"), &object.phrase());
        }
    }
    if let Some(relation) = relation {
        what = what.replace(
            "{relation}",
            dice.pick(world.relation_words(relation)).as_str(),
        );
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(category: Category, split: Split) -> impl Iterator<Item = DrawingTask> {
        (0..300).map(move |stream| DrawingTask::sample(&mut Dice::new(4, stream), category, split))
    }

    #[test]
    fn the_scene_of_a_task_has_what_is_described() {
        for &category in Category::ALL {
            for task in tasks(category, Split::Trained) {
                assert_eq!(task.scene.shapes.len(), task.wanted.objects.len());
                assert!(task.scene.shapes.iter().all(|shape| !shape.is_held_out()));
                assert!(!task.prompt.contains(['{', '}']), "{}", task.prompt);
                let objects = &task.wanted.objects;
                let coloured = objects.iter().all(|object| object.colour.is_some());
                assert_eq!(coloured, category.names_pairs(), "{}", task.prompt);
                match category {
                    Category::SingleObject | Category::Colours => assert_eq!(objects.len(), 1),
                    Category::Counting => assert!((2..=4).contains(&objects.len())),
                    _ => assert_eq!(objects.len(), 2),
                }
            }
        }
    }

    #[test]
    fn held_out_tasks_name_one_held_out_pair() {
        for category in [Category::Colours, Category::ColourAttribution] {
            for task in tasks(category, Split::HeldOut) {
                let held_out = task.wanted.objects.iter().filter(|object| {
                    object
                        .colour
                        .is_some_and(|c| World::get().is_held_out(c, object.kind))
                });
                assert_eq!(held_out.count(), 1, "{}", task.prompt);
            }
        }
    }

    #[test]
    fn prompts_read_like_english() {
        let prompts: Vec<_> = tasks(Category::ColourAttribution, Split::Trained)
            .chain(tasks(Category::Counting, Split::Trained))
            .chain(tasks(Category::Position, Split::Trained))
            .map(|task| task.prompt)
            .collect();
        assert!(prompts.iter().all(|prompt| !prompt.contains("a orange")));
        for part in [
            "an orange ",
            "an arch",
            "three arches",
            "to the left of a",
            " on ",
        ] {
            assert!(prompts.iter().any(|prompt| prompt.contains(part)), "{part}");
        }
    }
}
