//! `uidmeter token`: makes keys, mints tokens, and shows what a token says.
//!
//! | module | owns |
//! |---|---|
//! | `keygen` | new keys, and the lines that configure them |
//! | `mint` | signs a token with a private key |
//! | `inspect` | shows a token without trusting it, and checks it if told how |
//! | `place` | writes a file whole or not at all, with its mode and owner |
//!
//! Private keys and tokens go to files that their owner alone can read. Never prints a private key, and no
//! signature: what it prints of a token cannot be used as one.

mod inspect;
pub(crate) mod keygen;
mod mint;
pub(crate) mod place;

use std::{path::PathBuf, time::SystemTime};

use clap::{Args, Subcommand};

use crate::export::auth::keys::Algorithm;

pub use inspect::describe;

/// What `uidmeter token` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a key to sign tokens with, and print the lines that configure it
    Keygen(KeygenFlags),
    /// Sign a token that Prometheus can show
    Mint(MintFlags),
    /// Show what a token says; with keys, also whether it would be let in
    Inspect(InspectFlags),
}

/// `uidmeter token keygen`.
#[derive(Args, Clone, Debug)]
pub struct KeygenFlags {
    /// Where the key to sign with goes; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub private: PathBuf,

    /// Where the public half goes, for the hosts; it must not exist yet [default: like --private, with .pub]
    #[arg(long, value_name = "FILE")]
    pub public: Option<PathBuf>,

    /// Or ES256, ES384, PS256, RS256; with HS256, HS384, HS512 there is one secret, and every host could sign
    #[arg(long, value_name = "NAME", default_value = "EdDSA", value_parser = algorithm)]
    pub algorithm: Algorithm,

    /// Name of the key in tokens and configuration [default: the beginning of the key's digest]
    #[arg(long, value_name = "NAME")]
    pub kid: Option<String>,

    /// User, or USER:GROUP, to whom the files will belong
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}

/// `uidmeter token mint`.
#[derive(Args, Clone, Debug)]
pub struct MintFlags {
    /// The key to sign with
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// The key's algorithm
    #[arg(long, value_name = "NAME", default_value = "EdDSA", value_parser = algorithm)]
    pub algorithm: Algorithm,

    /// The key's name in the hosts' configuration
    #[arg(long, value_name = "NAME")]
    pub kid: String,

    /// Who will show the token
    #[arg(long, value_name = "NAME")]
    pub subject: String,

    /// Who issues it: one of the hosts' jwt.issuers
    #[arg(long, value_name = "NAME")]
    pub issuer: String,

    /// For whom it is: one of the hosts' jwt.audiences; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    pub audience: Vec<String>,

    /// What it allows: metrics:read, api:read, limits:write
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "metrics:read")]
    pub permissions: Vec<String>,

    /// How long it lives, from 1m to 90days; hosts refuse what lives longer than they allow
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub lifetime: String,

    /// Where the token goes; a file that is there is replaced at once
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// User, or USER:GROUP, to whom the file will belong
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}

/// `uidmeter token inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectFlags {
    /// File with the token, or - for standard input
    #[arg(value_name = "FILE")]
    pub token: PathBuf,

    /// Authentication file of a host: say whether that host would let the token in
    #[arg(long = "web.auth-file", value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
}

/// Why it was not done: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Something that was said cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("{0}")]
    File(String),
    /// The token would not be let in.
    #[error("the host would refuse this token: {0}")]
    Refused(&'static str),
}

/// Does what was asked at `now`, and says what to print.
///
/// # Errors
/// One sentence.
pub fn run(command: &TokenCommand, now: SystemTime) -> Result<String, TokenError> {
    match command {
        TokenCommand::Keygen(flags) => keygen::run(flags),
        TokenCommand::Mint(flags) => mint::run(flags, now),
        TokenCommand::Inspect(flags) => inspect::run(flags, now),
    }
}

/// For the command line.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::of_name(name).ok_or_else(|| format!("known are {}", Algorithm::ALL.map(Algorithm::name).join(", ")))
}

/// Names go into tokens and into files of several notations.
fn check_name(flag: &str, name: &str) -> Result<(), TokenError> {
    let fits = !name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(TokenError::Usage(format!("{flag} must have from 1 to 256 bytes and no control characters")))
    }
}

#[cfg(test)]
mod tests;
