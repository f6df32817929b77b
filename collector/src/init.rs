//! `uidmeter init`: what a host needs to be scraped, written once, and what is to be done at the other end.
//!
//! | module | owns |
//! |---|---|
//! | `material` | certificate, password, key and first token |
//! | `texts` | the configuration files, and what is printed |
//!
//! Nothing that is there is changed, and nothing stays if something cannot be written. Secrets go to files that their owner
//! alone can read, and are never printed.

mod material;
mod texts;

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::{Args, ValueEnum};
use nix::unistd::{User, geteuid};
use rustls_pki_types::ServerName;

use crate::{
    config::{Config, ListenAddress, document},
    token::{
        TokenError,
        place::{Owner, Present, put},
    },
};

/// Who owns the files unless something else is said, if there is such a user.
const USUAL_OWNER: &str = "uidmeter";
/// Folder, in that of the files, with what is meant for the host of Prometheus.
const OTHER_END: &str = "for-prometheus";

/// `uidmeter init`.
#[derive(Args, Clone, Debug)]
pub struct InitFlags {
    /// Where the files go; it is made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = "/etc/uidmeter")]
    pub folder: PathBuf,

    /// How Prometheus shows that it may read the figures
    #[arg(long, value_name = "WORD", default_value = "jwt")]
    pub auth: Way,

    /// Name or address by which Prometheus reaches this host [default: this host's name]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:9101", value_parser = listen)]
    pub listen: ListenAddress,

    /// User, or USER:GROUP, to whom the files will belong [default: uidmeter, if there is such a user and this is root]
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}

/// How Prometheus comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By tokens over TLS; this host can check them, not make them
    Jwt,
    /// By a password over TLS
    Basic,
    /// Not from other hosts: only this one may ask, and everybody on it
    None,
}

/// Why nothing was written: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Something that was said cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Files or randomness.
    #[error("{0}")]
    File(String),
}

impl From<TokenError> for InitError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Usage(what) => Self::Usage(what),
            other => Self::File(other.to_string()),
        }
    }
}

/// A file to be written.
struct Planned {
    /// From the folder on.
    path: PathBuf,
    text: zeroize::Zeroizing<String>,
    is_secret: bool,
}

impl Planned {
    fn open(path: impl Into<PathBuf>, text: String) -> Self {
        Self { path: path.into(), text: text.into(), is_secret: false }
    }

    fn secret(path: impl Into<PathBuf>, text: zeroize::Zeroizing<String>) -> Self {
        Self { path: path.into(), text, is_secret: true }
    }
}

/// Writes everything, and says what to do now.
///
/// # Errors
/// One sentence; then nothing has been written.
pub fn run(flags: &InitFlags, now: SystemTime) -> Result<String, InitError> {
    let host = host_name(flags)?;
    let folder = std::path::absolute(&flags.folder)
        .map_err(|error| InitError::Usage(format!("--folder {}: {error}", flags.folder.display())))?;
    let owner = owner(flags)?;
    let mut files = vec![Planned::open("uidmeter.toml", document::sample_of(&config(flags, &folder)))];
    if flags.auth != Way::None {
        let material = material::make(flags.auth, &host, now)?;
        files.extend(texts::files(material));
    }
    if let Some(present) = files.iter().map(|file| folder.join(&file.path)).find(|path| is_in_the_way(path)) {
        let present = present.display();
        return Err(InitError::File(format!(
            "{present} exists already and is kept, so nothing was written; move it away, or name another --folder"
        )));
    }
    write(&folder, &files, owner)?;
    Ok(texts::farewell(flags, &folder, &host, &files))
}

/// The sample that a package installs is nobody's work.
fn is_in_the_way(path: &Path) -> bool {
    path.symlink_metadata().is_ok() && fs::read_to_string(path).map_or(true, |text| text != document::sample())
}

fn config(flags: &InitFlags, folder: &Path) -> Config {
    let mut config = Config::default();
    if flags.auth != Way::None {
        config.web.listen_addresses = vec![flags.listen.clone()];
        config.web.config_file = Some(folder.join("web.yml"));
    }
    if flags.auth == Way::Jwt {
        config.web.auth_file = Some(folder.join("auth.toml"));
    }
    config
}

fn listen(text: &str) -> Result<ListenAddress, &'static str> {
    match text.parse() {
        Ok(ListenAddress::Unix(_)) | Err(()) => Err("must be ADDRESS:PORT or NAME:PORT"),
        Ok(address) => Ok(address),
    }
}

fn host_name(flags: &InitFlags) -> Result<String, InitError> {
    let name = match &flags.host {
        Some(name) => name.clone(),
        None => nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    match ServerName::try_from(name.as_str()) {
        Ok(_) => Ok(name),
        Err(_) => Err(InitError::Usage(format!("--host {name:?} is neither a host's name nor an address"))),
    }
}

fn owner(flags: &InitFlags) -> Result<Option<Owner>, InitError> {
    let usual = || geteuid().is_root() && matches!(User::from_name(USUAL_OWNER), Ok(Some(_)));
    let name = flags.owner.as_deref().or_else(|| usual().then_some(USUAL_OWNER));
    Ok(name.map(Owner::parse).transpose()?)
}

/// All or nothing.
fn write(folder: &Path, files: &[Planned], owner: Option<Owner>) -> Result<(), InitError> {
    let mut written = Vec::new();
    let result = files.iter().try_for_each(|file| {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            // What is meant for the other end is nobody's business here.
            let mode = if parent == folder { 0o755 } else { 0o700 };
            fs::DirBuilder::new().recursive(true).mode(mode).create(parent).map_err(|error| {
                InitError::File(format!("the folder {} cannot be made ({error})", parent.display()))
            })?;
        }
        // Secrets of the other end belong to whoever carries them there.
        let owner = owner.filter(|_| !file.path.starts_with(OTHER_END));
        let mode = if file.is_secret { 0o600 } else { 0o644 };
        let present = if path.symlink_metadata().is_ok() { Present::Replaced } else { Present::Kept };
        put(&path, file.text.as_bytes(), mode, owner, present)?;
        written.push(path);
        Ok(())
    });
    if result.is_err() {
        for path in written {
            // The error that is told is the first one.
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir(folder.join(OTHER_END));
    }
    result
}

#[cfg(test)]
mod tests;
