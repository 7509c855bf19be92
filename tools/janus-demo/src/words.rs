//! The words of the world as types: what a shape, a picture, a prompt or a question can be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A closed list of words: each variant has one name, and the list has an order.
pub trait Word: Copy + fmt::Display + Ord + 'static {
    /// Every word, in the order in which `world.json` lists them.
    const ALL: &'static [Self];

    /// The word as it is written in prompts, answers and reports.
    fn name(self) -> &'static str;

    /// The place of the word in [`Word::ALL`].
    fn index(self) -> usize;
}

macro_rules! words {
    ($(#[$list:meta])* $list_name:ident { $($(#[$word:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$list])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $list_name {
            $($(#[$word])* #[serde(rename = $name)] $variant,)+
        }

        impl Word for $list_name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $list_name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// What a shape is: a pair of halves, one upon the other.
    Kind {
        /// A disc.
        Circle = "circle",
        /// A square that stands on its side.
        Square = "square",
        /// A square that stands on a corner.
        Diamond = "diamond",
        /// Half a disc on half a square.
        Arch = "arch",
        /// Half a disc under half a diamond.
        Drop = "drop",
        /// Half a square on half a diamond.
        Shield = "shield",
    }
}

words! {
    /// The form of half a shape. Each is the upper half of two kinds and the lower half of two.
    Style {
        /// Half a disc.
        Round = "round",
        /// Half a square that stands on its side.
        Square = "square",
        /// Half a square that stands on a corner.
        Slant = "slant",
    }
}

words! {
    /// The colour of a shape.
    Colour {
        /// Red.
        Red = "red",
        /// Orange.
        Orange = "orange",
        /// Yellow.
        Yellow = "yellow",
        /// Green.
        Green = "green",
        /// Blue.
        Blue = "blue",
        /// Purple.
        Purple = "purple",
    }
}

words! {
    /// The colour behind the shapes.
    Background {
        /// Nearly white.
        White = "white",
        /// Nearly black.
        Black = "black",
    }
}

words! {
    /// Where one shape is, seen from another.
    Relation {
        /// Left of it.
        Left = "left",
        /// Right of it.
        Right = "right",
        /// Above it.
        Above = "above",
        /// Below it.
        Below = "below",
    }
}

words! {
    /// What a drawing prompt asks for: the six categories of GenEval.
    Category {
        /// One object: "a circle".
        SingleObject = "single_object",
        /// Two objects of different kinds: "a circle and an arch".
        TwoObjects = "two_objects",
        /// Two to four objects of one kind: "three drops".
        Counting = "counting",
        /// One object of a colour: "a red circle".
        Colours = "colours",
        /// Two objects, one beside or above the other: "a circle left of an arch".
        Position = "position",
        /// Two objects with a colour each: "a red circle and a blue drop".
        ColourAttribution = "colour_attribution",
    }
}

words! {
    /// What a question is about.
    Topic {
        /// "what colour is the circle?"
        Colour = "colour",
        /// "which shape is red?"
        Kind = "kind",
        /// "how many drops are there?"
        Count = "count",
        /// "where is the drop?"
        Position = "position",
        /// "is there a red circle?"
        YesNo = "yes_no",
        /// "is the circle left of the drop?"
        Relation = "relation",
        /// "what colour is the background?"
        Background = "background",
        /// "describe the picture."
        Caption = "caption",
    }
}

words! {
    /// Whether the model has met the pairs of colour and kind that a task shows.
    Split {
        /// Only pairs that occur in training.
        Trained = "trained",
        /// At least one pair that never occurs in training.
        HeldOut = "held_out",
    }
}
