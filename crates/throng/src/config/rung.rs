//! The setting `rung`: a number, or `auto`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use throng_core::ladder::Rung;

/// On which rung of the ladder a node begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum RungChoice {
    /// On the one that what it measures asks for.
    #[default]
    Auto,
    /// On this one, until an operator says otherwise.
    Fixed(Rung),
}

/// What is no rung.
#[derive(Clone, Copy, Debug, Error)]
#[error("a rung is `auto` or a number from 0 to 4")]
pub struct NoRung;

/// As a file has it.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Written {
    Number(u8),
    Word(String),
}

impl FromStr for RungChoice {
    type Err = NoRung;

    fn from_str(text: &str) -> Result<Self, NoRung> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let rung = text.parse().ok().and_then(Rung::new);
        rung.map(Self::Fixed).ok_or(NoRung)
    }
}

impl TryFrom<Written> for RungChoice {
    type Error = NoRung;

    fn try_from(written: Written) -> Result<Self, NoRung> {
        match written {
            Written::Number(number) => Rung::new(number).map(Self::Fixed).ok_or(NoRung),
            Written::Word(word) => word.parse(),
        }
    }
}

impl From<RungChoice> for Written {
    fn from(choice: RungChoice) -> Self {
        match choice {
            RungChoice::Auto => Self::Word("auto".to_owned()),
            RungChoice::Fixed(rung) => Self::Number(rung.number()),
        }
    }
}
