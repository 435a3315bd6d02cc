//! The forge on GitHub: against our emulator of it, against an independent one, and against what can go wrong on the way; and
//! the emulator itself.

mod check;
mod contract;
mod deliveries;
mod emulator;
mod faults;
mod independent;
mod legal;
mod manifest;
mod reads;
mod world;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use codehealer::ports::{Credential, PortResult, Secrets};
use secrecy::SecretString;

/// A secret that may be rotated: who asks for a fresh one gets the new value.
pub struct Vault {
    kept: Mutex<String>,
    fresh: Mutex<String>,
}

impl Vault {
    pub fn of(value: &str) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::new(value.to_owned()), fresh: Mutex::new(value.to_owned()) })
    }

    pub fn rotate(&self, value: &str) {
        value.clone_into(&mut self.fresh.lock().unwrap());
    }

    pub fn credential(self: &Arc<Self>) -> Credential {
        Credential::new(Arc::clone(self) as Arc<dyn Secrets>, "github")
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn secret(&self, _: &str) -> PortResult<SecretString> {
        Ok(SecretString::from(self.kept.lock().unwrap().clone()))
    }

    async fn fresh(&self, _: &str) -> PortResult<SecretString> {
        let fresh = self.fresh.lock().unwrap().clone();
        self.kept.lock().unwrap().clone_from(&fresh);
        Ok(SecretString::from(fresh))
    }
}
