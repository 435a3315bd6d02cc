//! GitHub: what stands in for it in tests, and what our app asks of it.

mod deliveries;
mod emulator;
mod manifest;
