//! What tests share: a clock to turn, sample fixes, git repositories, reference models, and a world with its faults.

pub mod aws;
pub mod clock;
pub mod cloud;
pub mod faults;
pub mod fixes;
pub mod git;
pub mod github_api;
pub mod log;
pub mod model_server;
pub mod proxy;
pub mod reference;
pub mod relay;
pub mod runtime_api;
pub mod sagemaker;
pub mod servers;
pub mod slack;
pub mod slack_api;
pub mod split_mix;
pub mod stores;
mod under;
pub mod world;
pub mod write_units;
