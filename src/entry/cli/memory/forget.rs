//! `memory forget`.

use anyhow::Result;
use clap::Args;

use crate::entry::cli::{Exit, Session, Sources, usage};
use crate::wiring::{self, Backends, Mode};

#[derive(Args)]
pub struct ForgetArgs {
    /// The fix: its id or its first digits (6 or more)
    id: String,
}

pub async fn forget(session: &Session, args: &ForgetArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    if config.services.opensearch.is_none() && !wiring::state_file(&config).exists() {
        return Err(usage("nothing is remembered yet"));
    }
    let memory = Backends::new(&config, Mode::Record).memory()?;
    let fix = super::resolve(&*memory, &args.id).await?;
    memory.forget(&fix.id).await?;
    session.output.line(format!("fix {} of rule {} is forgotten", super::short(&fix), fix.rule))?;
    Ok(Exit::Done)
}
