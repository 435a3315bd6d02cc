//! `config schema`: the JSON schema by which editors complete and check the configuration.

use anyhow::Result;
use clap::Args;
use schemars::JsonSchema;

use crate::config::File;
use crate::entry::cli::{Exit, Session};
use crate::healer::RepositoryConfig;

#[derive(Args)]
pub struct SchemaArgs {
    /// That of .codehealer.toml, which a repository holds
    #[arg(long)]
    repository: bool,
}

pub fn print(session: &Session, args: &SchemaArgs) -> Result<Exit> {
    let text = if args.repository { schema::<RepositoryConfig>() } else { schema::<File>() };
    session.output.write(&text?)?;
    Ok(Exit::Done)
}

fn schema<T: JsonSchema>() -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(&schemars::schema_for!(T))?))
}
