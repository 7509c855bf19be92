//! Scenes: a background and a few shapes on a board of cells.

use crate::dice::Dice;
use crate::prompt::Description;
use crate::words::{Background, Colour, Kind, Relation, Split, Word};
use crate::world::World;

/// A point of a picture in pixels, `y` downwards; the first pixel's centre is at (0.5, 0.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From the left edge.
    pub x: f64,
    /// From the top edge.
    pub y: f64,
}

impl Point {
    /// How far another point is away.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// A cell of the board, in reading order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(usize);

impl Cell {
    /// The cell of this number; `None` beyond the board.
    pub fn new(index: usize) -> Option<Self> {
        (index < World::get().cells.len()).then_some(Self(index))
    }

    /// The cell around a point; `None` beyond the board.
    pub fn at(point: Point) -> Option<Self> {
        let world = World::get();
        let along = |offset: f64| {
            let cell = (offset / f64::from(world.cell_size)).floor();
            (0.0..world.columns as f64)
                .contains(&cell)
                .then_some(cell as usize)
        };
        Some(Self(along(point.y)? * world.columns + along(point.x)?))
    }

    /// Its row, from the top.
    pub fn row(self) -> usize {
        self.0 / World::get().columns
    }

    /// Its column, from the left.
    pub fn column(self) -> usize {
        self.0 % World::get().columns
    }

    /// Its middle.
    pub fn centre(self) -> Point {
        let along = |cell: usize| (cell as f64 + 0.5) * f64::from(World::get().cell_size);
        Point {
            x: along(self.column()),
            y: along(self.row()),
        }
    }

    /// Its name: "top left".
    pub fn name(self) -> &'static str {
        &World::get().cells[self.0]
    }

    /// Whether this cell is left of, right of, above or below another of the same row or column.
    pub fn stands(self, relation: Relation, other: Self) -> bool {
        match relation {
            Relation::Left => self.row() == other.row() && self.column() < other.column(),
            Relation::Right => self.row() == other.row() && self.column() > other.column(),
            Relation::Above => self.column() == other.column() && self.row() < other.row(),
            Relation::Below => self.column() == other.column() && self.row() > other.row(),
        }
    }

    /// Two random cells of which the first stands in a relation to the second.
    pub(crate) fn sample_related(dice: &mut Dice, relation: Relation) -> [Self; 2] {
        let columns = World::get().columns;
        let line = dice.below(columns);
        let mut along = dice.distinct(2, columns);
        along.sort_unstable();
        if matches!(relation, Relation::Right | Relation::Below) {
            along.reverse();
        }
        [0, 1].map(|i| match relation {
            Relation::Left | Relation::Right => Self(line * columns + along[i]),
            Relation::Above | Relation::Below => Self(along[i] * columns + line),
        })
    }

    /// Different random cells, in random order.
    pub(crate) fn sample_distinct(dice: &mut Dice, count: usize) -> Vec<Self> {
        dice.distinct(count, World::get().cells.len())
            .into_iter()
            .map(Self)
            .collect()
    }
}

/// A shape in the middle of its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Where it stands.
    pub cell: Cell,
    /// What it is.
    pub kind: Kind,
    /// Its colour.
    pub colour: Colour,
}

impl Shape {
    /// Whether its pair of colour and kind never occurs in training.
    pub fn is_held_out(&self) -> bool {
        World::get().is_held_out(self.colour, self.kind)
    }

    /// "a red circle".
    pub fn phrase(&self) -> String {
        Description {
            kind: self.kind,
            colour: Some(self.colour),
        }
        .phrase()
    }

    pub(crate) fn sample(dice: &mut Dice, cell: Cell, split: Split) -> Self {
        let (colour, kind) = sample_pair(dice, split);
        Self { cell, kind, colour }
    }
}

/// What a picture shows: a background and shapes on different cells, in reading order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// The colour behind the shapes.
    pub background: Background,
    /// The shapes, by cell.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// A scene of these shapes, put into reading order.
    pub fn new(background: Background, mut shapes: Vec<Shape>) -> Self {
        shapes.sort_unstable();
        Self { background, shapes }
    }

    /// A random scene. [`Split::HeldOut`] puts one held-out pair into it, among trained ones.
    pub fn sample(dice: &mut Dice, split: Split) -> Self {
        let world = World::get();
        let count = world.min_shapes + dice.below(world.max_shapes - world.min_shapes + 1);
        let cells = Cell::sample_distinct(dice, count);
        let shapes = cells.into_iter().enumerate().map(|(i, cell)| {
            Shape::sample(dice, cell, if i == 0 { split } else { Split::Trained })
        });
        let shapes = shapes.collect();
        Self::new(*dice.pick(Background::ALL), shapes)
    }
}

/// A pair of colour and kind from one side of the split, each of its pairs equally likely.
fn sample_pair(dice: &mut Dice, split: Split) -> (Colour, Kind) {
    let world = World::get();
    if split == Split::HeldOut {
        return *dice.pick(&world.held_out);
    }
    loop {
        let (colour, kind) = (*dice.pick(Colour::ALL), *dice.pick(Kind::ALL));
        if !world.is_held_out(colour, kind) {
            return (colour, kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_keep_their_pairs_apart() {
        for stream in 0..200 {
            let trained = Scene::sample(&mut Dice::new(1, stream), Split::Trained);
            assert!(trained.shapes.iter().all(|shape| !shape.is_held_out()));
            let held_out = Scene::sample(&mut Dice::new(1, stream), Split::HeldOut);
            assert_eq!(
                held_out
                    .shapes
                    .iter()
                    .filter(|shape| shape.is_held_out())
                    .count(),
                1
            );
        }
    }

    #[test]
    fn scenes_are_in_reading_order_on_cells_of_their_own() {
        for stream in 0..200 {
            let scene = Scene::sample(&mut Dice::new(2, stream), Split::Trained);
            assert!((1..=4).contains(&scene.shapes.len()));
            assert!(scene.shapes.is_sorted_by(|a, b| a.cell < b.cell));
        }
    }

    #[test]
    fn related_cells_are_related() {
        for (stream, &relation) in Relation::ALL.iter().cycle().take(200).enumerate() {
            let [a, b] = Cell::sample_related(&mut Dice::new(3, stream as u64), relation);
            assert!(a.stands(relation, b), "{a:?} {relation} {b:?}");
            let others = Relation::ALL.iter().filter(|&&other| a.stands(other, b));
            assert_eq!(others.count(), 1);
        }
    }

    #[test]
    fn a_cell_is_found_by_its_centre() {
        for index in 0..9 {
            let cell = Cell::new(index).unwrap();
            assert_eq!(Cell::at(cell.centre()), Some(cell));
        }
        assert_eq!(Cell::new(9), None);
        assert_eq!(Cell::at(Point { x: -0.1, y: 3.0 }), None);
        assert_eq!(Cell::at(Point { x: 3.0, y: 48.0 }), None);
        assert_eq!(Cell::new(3).unwrap().name(), "middle left");
    }
}
