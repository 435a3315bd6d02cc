//! What happens between two looks: schedules that go against us, found by hand.

mod returned;
