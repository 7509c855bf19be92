//! The two vocabularies of Janus, as two types.

use std::fmt;

/// Index into the text vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// Index into the codebook of the VQ tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageToken(pub u32);

/// An index into one of the two vocabularies.
pub trait Token: Copy + fmt::Debug + sealed::Sealed {
    /// The token at `index`.
    fn from_index(index: u32) -> Self;
    /// Its index.
    fn index(self) -> u32;
}

mod sealed {
    #[expect(
        unnameable_types,
        reason = "a sealed trait is one that nobody else can name"
    )]
    pub trait Sealed {}
    impl Sealed for super::TokenId {}
    impl Sealed for super::ImageToken {}
}

macro_rules! token {
    ($name:ident) => {
        impl Token for $name {
            fn from_index(index: u32) -> Self {
                Self(index)
            }

            fn index(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

token!(TokenId);
token!(ImageToken);
