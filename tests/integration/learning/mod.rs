//! What is learned from fixes, and what is believed of them.

mod traps;
