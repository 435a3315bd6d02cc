//! How sure we are that a person would merge a change, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::InvalidValue;

/// 0 to 100: an estimate of the probability, in percent, that a person would merge the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Confidence(u8);

impl Confidence {
    /// What a change may reach at most without the proof that a ready pull request needs: the top of the draft tier.
    pub const UNPROVEN_CAP: u8 = 84;

    /// # Errors
    /// When `percent` is above 100.
    pub fn new(percent: u8) -> Result<Self, InvalidValue> {
        if percent <= 100 {
            return Ok(Self(percent));
        }
        Err(InvalidValue { what: "confidence", value: percent.to_string(), reason: "use 0 to 100" })
    }

    /// Rounds down, so that 0.849 never becomes the 85 that opens a pull request; clamps outside 0..=1; NaN is 0.
    #[must_use]
    pub fn from_probability(p: f64) -> Self {
        // The epsilon undoes binary rounding: 0.85 * 100 is 84.999….
        let percent = (p.clamp(0.0, 1.0) * 100.0 + 1e-9).floor();
        // Clamped to 0..=100; a NaN casts to 0.
        Self(percent as u8)
    }

    #[must_use]
    pub fn percent(self) -> u8 {
        self.0
    }

    #[must_use]
    pub fn at_most(self, cap: u8) -> Self {
        Self(self.0.min(cap))
    }
}

impl TryFrom<u8> for Confidence {
    type Error = InvalidValue;
    fn try_from(percent: u8) -> Result<Self, InvalidValue> {
        Self::new(percent)
    }
}

impl From<Confidence> for u8 {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is done with the best verified candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Open a pull request.
    Open,
    /// Open a draft and tell a senior.
    Draft,
    /// Only tell a senior.
    Escalate,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Draft => "draft",
            Self::Escalate => "escalate",
        })
    }
}

/// Lowest confidence, in percent, of the two tiers that make a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    pub open: Confidence,
    pub draft: Confidence,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { open: Confidence(85), draft: Confidence(60) }
    }
}

impl Thresholds {
    #[must_use]
    pub fn decide(&self, confidence: Confidence) -> Decision {
        if confidence >= self.open {
            Decision::Open
        } else if confidence >= self.draft {
            Decision::Draft
        } else {
            Decision::Escalate
        }
    }
}

/// One step in making a confidence: what was considered and where the number stood after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreLine {
    /// One sentence for people.
    pub reason: String,
    /// Percent after this line.
    pub percent: f64,
}

/// A confidence together with how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    pub confidence: Confidence,
    pub lines: Vec<ScoreLine>,
}
