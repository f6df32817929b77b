//! One sentence for each mistake in the configuration.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

/// All that is wrong, in the order of the file, then of the flags.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// A mistake.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; name another file with --config, or correct this one's permissions", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be what it should be.
    #[error("{} {what}; name another file with --config", path.display())]
    NotConfiguration {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// The file is not TOML at this place.
    #[error("{}:{line}: this is not TOML: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// Nothing has this name.
    #[error("{}:{line}: there is no {what} {name}; {advice}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Section or setting.
        what: &'static str,
        /// As found.
        name: String,
        /// The nearest name, or where all names stand.
        advice: String,
    },
    /// A value cannot be used.
    #[error("{at} is {found}, but must be {allowed}")]
    Value {
        /// File, line and key, or the flag.
        at: String,
        /// The value.
        found: String,
        /// What could be used.
        allowed: String,
    },
    /// Everybody's figures would be open to the network.
    #[error(
        "{at} would serve everybody's figures to the network ({address}) without authentication; use a loopback address such \
         as 127.0.0.1:9101, or name a web configuration file that asks for passwords or client certificates"
    )]
    Exposed {
        /// The setting or flag.
        at: String,
        /// One that others can reach.
        address: SocketAddr,
    },
    /// More problems than anybody reads at a time.
    #[error("and {0} more problems, which are shown once these are solved")]
    More(usize),
}
