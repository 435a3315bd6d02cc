//! What happens between two looks: schedules that go against us, found by hand and drawn by the thousand.

mod commands;
mod dice;
mod feedback;
mod gate;
mod hub;
mod invariants;
mod people;
mod play;
mod removed;
mod returned;
mod seeds;
mod stage;
