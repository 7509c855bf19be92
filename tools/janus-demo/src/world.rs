//! The demo model's world, as `world.json` states it: every number and every form of words.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::words::{Background, Category, Colour, Kind, Relation, Style, Topic, Word};

/// The file that the training and the examination share.
const WORLD_JSON: &str = include_str!("../../demo-model/world.json");

/// A colour as red, green, blue.
pub type Rgb = [u8; 3];

/// Everything that prompts, pictures and questions are made of.
///
/// `tools/demo-model/WORLD.md` says how the file is read.
#[derive(Clone, Debug)]
pub struct World {
    /// Width and height of a picture, in pixels.
    pub image_size: u32,
    /// Width and height of a cell of the board, in pixels.
    pub cell_size: u32,
    /// Cells in a row of the board.
    pub columns: usize,
    /// The fewest shapes of a free scene.
    pub min_shapes: usize,
    /// The most shapes of a scene.
    pub max_shapes: usize,
    /// The pairs that never occur in training.
    pub held_out: Vec<(Colour, Kind)>,
    /// The names of the cells, in reading order.
    pub cells: Vec<String>,
    /// The words for 0, 1, 2, …
    pub numbers: Vec<String>,
    /// What stands around the objects of a prompt: `draw {what}`.
    pub wordings: Vec<String>,
    /// What names a background: ` on {background}`.
    pub background_suffixes: Vec<String>,
    /// The share of prompts that name their background.
    pub background_share: f64,
    /// How far a shape reaches from its middle, in pixels.
    pub radius: f64,
    halves: Vec<[Style; 2]>,
    plurals: Vec<String>,
    colours: Vec<Rgb>,
    backgrounds: Vec<Rgb>,
    relations: Vec<Vec<String>>,
    articles: BTreeMap<String, String>,
    prompts: Vec<Vec<String>>,
    questions: Vec<Vec<String>>,
}

impl World {
    /// The world that the embedded checkpoint was trained in.
    ///
    /// # Panics
    ///
    /// Never in a build that passes its tests: the file is part of the program, and a test of this
    /// module parses it.
    pub fn get() -> &'static Self {
        static WORLD: LazyLock<World> =
            LazyLock::new(|| World::parse(WORLD_JSON).expect("the embedded world is well formed"));
        &WORLD
    }

    /// Reads a world from JSON and checks that every word, number and form that is used is there.
    ///
    /// # Errors
    ///
    /// [`Error::ParseWorld`] for what is not such JSON, [`Error::WorldField`] for a value that makes
    /// no world.
    pub fn parse(json: &str) -> Result<Self> {
        let file: WorldFile =
            serde_json::from_str(json).map_err(|source| Error::ParseWorld { source })?;
        let world = file.into_world()?;
        world.check()?;
        Ok(world)
    }

    /// The colour's red, green and blue.
    pub fn rgb(&self, colour: Colour) -> Rgb {
        self.colours[colour.index()]
    }

    /// The background's red, green and blue.
    pub fn background_rgb(&self, background: Background) -> Rgb {
        self.backgrounds[background.index()]
    }

    /// The upper and the lower half of a kind.
    pub fn halves(&self, kind: Kind) -> [Style; 2] {
        self.halves[kind.index()]
    }

    /// "circles" for [`Kind::Circle`].
    pub fn plural(&self, kind: Kind) -> &str {
        &self.plurals[kind.index()]
    }

    /// The wordings of a relation: "left of", "to the left of".
    pub fn relation_words(&self, relation: Relation) -> &[String] {
        &self.relations[relation.index()]
    }

    /// The forms of a category's prompts, such as `{a.kind} and {b.kind}`.
    pub fn prompt_forms(&self, category: Category) -> &[String] {
        &self.prompts[category.index()]
    }

    /// The forms of a topic's questions, such as `where is the {kind}?`.
    pub fn question_forms(&self, topic: Topic) -> &[String] {
        &self.questions[topic.index()]
    }

    /// `words` after "a" or "an".
    pub fn with_article(&self, words: &str) -> String {
        let first = words.split(' ').next().unwrap_or_default();
        let article = self.articles.get(first).or(self.articles.get("default"));
        format!("{} {words}", article.map_or("a", String::as_str))
    }

    /// Whether training never shows this pair.
    pub fn is_held_out(&self, colour: Colour, kind: Kind) -> bool {
        self.held_out.contains(&(colour, kind))
    }

    fn check(&self) -> Result<()> {
        let side = self.cell_size as usize * self.columns;
        ensure(
            side > 0 && side == self.image_size as usize,
            "columns",
            "fill the picture",
        )?;
        ensure(
            self.cells.len() == self.columns * self.columns,
            "cells",
            "name every cell",
        )?;
        ensure(self.columns >= 2, "columns", "leave room for relations")?;
        ensure(
            1 <= self.min_shapes && self.min_shapes <= self.max_shapes && 2 <= self.max_shapes,
            "max_shapes",
            "be at least two and not below `min_shapes`",
        )?;
        ensure(
            self.max_shapes <= self.cells.len(),
            "max_shapes",
            "fit on the board",
        )?;
        ensure(
            self.max_shapes < self.numbers.len(),
            "numbers",
            "name every count",
        )?;
        ensure(
            0.0 < self.radius && 2.0 * self.radius <= f64::from(self.cell_size),
            "radius",
            "be positive and fit in a cell",
        )?;
        let mut halves = self.halves.clone();
        halves.sort_unstable();
        halves.dedup();
        ensure(
            halves.len() == Kind::ALL.len(),
            "halves",
            "be different for every kind",
        )?;
        ensure(!self.held_out.is_empty(), "held_out", "name a pair")?;
        for &kind in Kind::ALL {
            let trained = Colour::ALL
                .iter()
                .any(|&colour| !self.is_held_out(colour, kind));
            ensure(trained, "held_out", "leave every kind a colour")?;
        }
        ensure(
            (0.0..=1.0).contains(&self.background_share),
            "prompts.background.share",
            "be between 0 and 1",
        )?;
        self.check_forms()
    }

    fn check_forms(&self) -> Result<()> {
        const PROMPT_SLOTS: [&str; 7] = [
            "a.kind",
            "b.kind",
            "a.colour_kind",
            "b.colour_kind",
            "n",
            "kinds",
            "relation",
        ];
        const QUESTION_SLOTS: [&str; 8] = [
            "kind",
            "kinds",
            "colour",
            "cell",
            "a.kind",
            "a.colour_kind",
            "relation",
            "other",
        ];
        check_slots("prompts.wordings", &self.wordings, &["what"])?;
        check_slots(
            "prompts.background",
            &self.background_suffixes,
            &["background"],
        )?;
        for words in &self.relations {
            check_slots("relations", words, &[])?;
        }
        for forms in &self.prompts {
            check_slots("prompts.categories", forms, &PROMPT_SLOTS)?;
        }
        for forms in &self.questions {
            check_slots("questions", forms, &QUESTION_SLOTS)?;
        }
        Ok(())
    }
}

/// `world.json` as it is written.
#[derive(Deserialize)]
struct WorldFile {
    image_size: u32,
    cell_size: u32,
    columns: usize,
    min_shapes: usize,
    max_shapes: usize,
    radius: f64,
    halves: BTreeMap<Kind, [Style; 2]>,
    plurals: BTreeMap<Kind, String>,
    colours: BTreeMap<Colour, Rgb>,
    backgrounds: BTreeMap<Background, Rgb>,
    held_out: Vec<(Colour, Kind)>,
    cells: Vec<String>,
    numbers: Vec<String>,
    relations: BTreeMap<Relation, Vec<String>>,
    article: BTreeMap<String, String>,
    prompts: PromptsFile,
    questions: BTreeMap<Topic, FormsFile>,
}

#[derive(Deserialize)]
struct PromptsFile {
    wordings: Vec<String>,
    background: SuffixesFile,
    categories: BTreeMap<String, FormsFile>,
}

#[derive(Deserialize)]
struct SuffixesFile {
    share: f64,
    suffixes: Vec<String>,
}

#[derive(Deserialize)]
struct FormsFile {
    forms: Vec<String>,
}

impl WorldFile {
    fn into_world(self) -> Result<World> {
        // Training has further categories of prompts; the examination keeps GenEval's six.
        let mut categories = self.prompts.categories;
        let examined = Category::ALL.iter().filter_map(|&category| {
            let forms = categories.remove(category.name())?;
            Some((category, forms.forms))
        });
        let examined = examined.collect();
        let questions = self
            .questions
            .into_iter()
            .map(|(topic, forms)| (topic, forms.forms));
        Ok(World {
            image_size: self.image_size,
            cell_size: self.cell_size,
            columns: self.columns,
            min_shapes: self.min_shapes,
            max_shapes: self.max_shapes,
            held_out: self.held_out,
            cells: self.cells,
            numbers: self.numbers,
            wordings: self.prompts.wordings,
            background_suffixes: self.prompts.background.suffixes,
            background_share: self.prompts.background.share,
            radius: self.radius,
            halves: complete("halves", self.halves)?,
            plurals: complete("plurals", self.plurals)?,
            colours: complete("colours", self.colours)?,
            backgrounds: complete("backgrounds", self.backgrounds)?,
            relations: complete("relations", self.relations)?,
            articles: self.article,
            prompts: complete("prompts.categories", examined)?,
            questions: complete("questions", questions.collect())?,
        })
    }
}

/// The values of a table that has an entry for every word, in the order of the words.
fn complete<W: Word, T>(field: &'static str, table: BTreeMap<W, T>) -> Result<Vec<T>> {
    ensure(
        table.len() == W::ALL.len(),
        field,
        "have an entry for every word",
    )?;
    Ok(table.into_values().collect())
}

/// Every form is made of known slots, and there is one.
fn check_slots(field: &'static str, forms: &[String], known: &[&str]) -> Result<()> {
    ensure(!forms.is_empty(), field, "have a form")?;
    let slots = forms.iter().flat_map(|form| form.split('{').skip(1));
    for slot in slots {
        let name = slot.split('}').next().unwrap_or_default();
        ensure(known.contains(&name), field, "use known slots only")?;
    }
    Ok(())
}

fn ensure(holds: bool, field: &'static str, should: &'static str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::WorldField { field, should })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_world_is_well_formed() {
        let world = World::parse(WORLD_JSON).unwrap();
        assert_eq!(world.image_size, 48);
        assert!(world.is_held_out(world.held_out[0].0, world.held_out[0].1));
        assert_eq!(world.with_article("orange drop"), "an orange drop");
        assert_eq!(world.with_article("arch"), "an arch");
        assert_eq!(world.with_article("red arch"), "a red arch");
    }

    #[test]
    fn a_broken_world_names_the_field() {
        let cases = [
            (r#""cell_size": 16"#, r#""cell_size": 17"#, "columns"),
            (r#""max_shapes": 4"#, r#""max_shapes": 5"#, "numbers"),
            (r#""max_shapes": 4"#, r#""max_shapes": 1"#, "max_shapes"),
            (r#""radius": 7"#, r#""radius": 9"#, "radius"),
            (
                r#""drop": ["slant", "round"]"#,
                r#""drop": ["slant", "slant"]"#,
                "halves",
            ),
            (r#"["slant", "round"]"#, r#"["slant", "rund"]"#, "parse"),
            (
                r#""black": [20, 20, 20]"#,
                r#""black": [20, 20, 256]"#,
                "parse",
            ),
            (r#""bottom left", "#, "", "cells"),
            (
                "{a.kind} and {b.kind}",
                "{a.kind} and {z.kind}",
                "prompts.categories",
            ),
            ("draw {what}", "draw {whit}", "prompts.wordings"),
            (r#""above": ["above"],"#, "", "relations"),
            (r#""circle": "circles""#, r#""oval": "ovals""#, "parse"),
        ];
        for (from, to, field) in cases {
            assert!(WORLD_JSON.contains(from), "{from}");
            let error = World::parse(&WORLD_JSON.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(field), "{from} → {to}: {error}");
        }
    }
}
