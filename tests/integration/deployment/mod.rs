//! What is deployed, held to what the program does and says.

mod alarms;
mod doctor;
