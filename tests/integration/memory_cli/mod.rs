//! What is remembered and what counts little: a history's campaigns and copies, the starter memory, and what people's decisions make
//! of remembered fixes.

mod campaigns;
mod outcomes;
mod starter;
