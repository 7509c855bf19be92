//! Whether a picture shows what a prompt asks for.

use std::fmt;

use crate::judge::{Found, Reading};
use crate::prompt::Wanted;
use crate::words::{Background, Relation};

/// The share of both extents by which shapes must be apart to be beside each other.
const APART: f64 = 0.1;
/// The share of the distance that must lie to the side asked for.
const ASIDE: f64 = 0.5;

/// Why a picture is not what its prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No background of the world: the picture cannot be read.
    Unreadable,
    /// Not the background that the prompt names.
    Background {
        /// The one named.
        wanted: Background,
        /// The one seen.
        found: Background,
    },
    /// Too many or too few shapes.
    Count {
        /// How many the prompt names.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// Something that is no kind of shape, or of no single colour.
    Unrecognised,
    /// Not the kinds of shapes that the prompt names.
    Kind,
    /// The kinds, but not in the colours that the prompt gives them.
    Colour,
    /// The right shapes, but not where they should be.
    Relation,
}

impl Wanted {
    /// Whether a picture that reads so is right.
    ///
    /// The rules, in the order in which a picture can fail them:
    ///
    /// 1. The background is plainly one of the world's, and the one named, if one is.
    /// 2. There are exactly as many shapes as are named: nothing is missing and nothing added.
    /// 3. Every shape is of a known kind and of one known colour.
    /// 4. Some assignment of the shapes to the objects has all kinds right; then also the colours
    ///    that are named; then also the relation.
    ///
    /// Relations follow GenEval: the offset between the middles, less a tenth of both extents, must
    /// point to the side asked for by more than half of its length. So a diagonal neighbour is both
    /// beside and above. What a prompt does not name is free.
    ///
    /// # Errors
    ///
    /// The first rule that it fails.
    pub fn check(&self, reading: &Reading) -> Result<(), Fault> {
        let found = reading.background.ok_or(Fault::Unreadable)?;
        if let Some(wanted) = self.background
            && wanted != found
        {
            return Err(Fault::Background { wanted, found });
        }
        if reading.shapes.len() != self.objects.len() {
            let (wanted, found) = (self.objects.len(), reading.shapes.len());
            return Err(Fault::Count { wanted, found });
        }
        if !reading.shapes.iter().all(Found::is_recognised) {
            return Err(Fault::Unrecognised);
        }
        let mut shapes: Vec<_> = reading.shapes.iter().collect();
        let faults = [Fault::Kind, Fault::Colour, Fault::Relation];
        for (last, fault) in faults.into_iter().enumerate() {
            if !any_order(&mut shapes, 0, &|order| self.fits(order, &faults[..=last])) {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Whether shapes, in the order of the objects, are free of some faults.
    fn fits(&self, order: &[&Found], faults: &[Fault]) -> bool {
        let pairs = || self.objects.iter().zip(order);
        faults.iter().all(|fault| match fault {
            Fault::Kind => pairs().all(|(object, shape)| shape.kind == Some(object.kind)),
            Fault::Colour => pairs()
                .all(|(object, shape)| object.colour.is_none() || object.colour == shape.colour),
            _ => match (self.relation, order) {
                (Some(relation), [a, b, ..]) => stands(a, relation, b),
                (relation, _) => relation.is_none(),
            },
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("no plain background"),
            Self::Background { wanted, found } => write!(f, "{found}, not {wanted} background"),
            Self::Count { wanted, found } => write!(f, "{found}, not {wanted} shapes"),
            Self::Unrecognised => f.write_str("an unknown shape or colour"),
            Self::Kind => f.write_str("wrong kind"),
            Self::Colour => f.write_str("wrong colour"),
            Self::Relation => f.write_str("wrong place"),
        }
    }
}

/// Whether some order of the items from `fixed` on passes.
fn any_order<T>(items: &mut [T], fixed: usize, passes: &dyn Fn(&[T]) -> bool) -> bool {
    if fixed == items.len() {
        return passes(items);
    }
    (fixed..items.len()).any(|next| {
        items.swap(fixed, next);
        let passed = any_order(items, fixed + 1, passes);
        items.swap(fixed, next);
        passed
    })
}

/// Whether `a` is on the given side of `b`.
fn stands(a: &Found, relation: Relation, b: &Found) -> bool {
    let (dx, dy) = (a.centre.x - b.centre.x, a.centre.y - b.centre.y);
    let distance = dx.hypot(dy);
    let beyond = |offset: f64, extents: f64| (offset - APART * extents) / distance > ASIDE;
    let (widths, heights) = (a.width + b.width, a.height + b.height);
    match relation {
        Relation::Left => beyond(-dx, widths),
        Relation::Right => beyond(dx, widths),
        Relation::Above => beyond(-dy, heights),
        Relation::Below => beyond(dy, heights),
    }
}
