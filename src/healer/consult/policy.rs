//! How a model is asked: how often, how varied, how much, and what it costs.

use crate::healer::Budgets;

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelPolicy {
    /// Answers drawn to one question, 1 to 8. Fewer are drawn once two agree.
    pub samples: u8,
    /// How varied they are, 0 to 2.
    pub temperature: f32,
    /// Further questions with the reasons, when no answer passed the checks.
    pub revisions: u8,
    /// Tokens that a question may have, estimated.
    pub question_tokens: u64,
    pub prices: Prices,
    /// What may be spent.
    pub budgets: Budgets,
    /// Whether verified proposals are reviewed by further calls.
    pub council: bool,
    /// Changed functions of a push that the model is asked about as a detector; `None`: it is no detector.
    pub functions_a_push: Option<usize>,
}

impl Default for ModelPolicy {
    fn default() -> Self {
        Self {
            samples: 3,
            temperature: 0.6,
            revisions: 1,
            question_tokens: 6_000,
            prices: Prices::default(),
            budgets: Budgets::default(),
            council: false,
            functions_a_push: None,
        }
    }
}

/// What tokens cost, millionths of a dollar for a million of them: `$0.20` a million is 200,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices {
    pub input: u64,
    pub output: u64,
}

impl Prices {
    /// The price of one call, millionths of a dollar, rounded up: a limit is never passed by rounding.
    #[must_use]
    pub fn of(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let total = of(input_tokens, self.input).saturating_add(of(output_tokens, self.output));
        u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_up_and_never_overflows() {
        let prices = Prices { input: 200_000, output: 600_000 };
        assert_eq!(prices.of(1_000_000, 1_000_000), 800_000);
        assert_eq!((prices.of(1, 0), prices.of(0, 0)), (1, 0));
        assert_eq!(Prices { input: u64::MAX, output: u64::MAX }.of(u64::MAX, u64::MAX), u64::MAX);
    }
}
