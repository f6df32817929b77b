//! `uidmeter fleet rotate`: a new token, of the same key or of a new one, without a moment in which the token in use is not
//! accepted.
//!
//! | module | owns |
//! |---|---|
//! | `plan` | what is to be done, in which order |
//! | `passes` | what tokens say of themselves |
//! | `auth_file` | keys in the hosts' authentication file |
//! | `witnesses` | whether hosts accept a token |
//!
//! What has been done is seen in the files: there is no journal, and whoever was interrupted runs the command again. A new
//! token says what the old one says. The old key goes only when that is asked for, since only a person knows whether every
//! Prometheus has read the new token.

mod auth_file;
mod passes;
mod plan;
mod witnesses;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Args;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use self::{
    auth_file::AuthFile,
    passes::Pass,
    plan::{Facts, Step, Wish, plan},
    witnesses::{Expected, Witnesses, named},
};
use super::{
    FleetError,
    ask::{AskFlags, Asker, Credential},
    inventory::{self, SourceFlags},
    place, verify,
};
use crate::{
    export::{auth::keys::Algorithm, shown},
    token::{self, KeygenFlags, MintFlags, TokenCommand, TokenError, keygen},
};

/// `uidmeter fleet rotate`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RotateFlags {
    /// Where the hosts are named.
    #[command(flatten)]
    pub sources: SourceFlags,

    /// Target file of Prometheus, in JSON
    #[arg(long, value_name = "FILE")]
    pub file_sd: Option<PathBuf>,

    /// How they are asked.
    #[command(flatten)]
    pub ask: AskFlags,

    /// The token that Prometheus shows; the new one says what it says, and has its owner and mode
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,

    /// The key to sign the new token with
    #[arg(long, value_name = "FILE")]
    pub signing_key: PathBuf,

    /// That key's name in the hosts' configuration
    #[arg(long, value_name = "NAME")]
    pub kid: String,

    /// That key's algorithm
    #[arg(long, value_name = "NAME", default_value = "EdDSA", value_parser = token::algorithm)]
    pub algorithm: Algorithm,

    /// Make that key if it is not there
    #[arg(long)]
    pub new_key: bool,

    /// Authentication file of the hosts, if it lies here: the new key is added, the old one removed
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// How long the new token lives, from 1m to 90days [default: as long as the old one]
    #[arg(long, value_name = "TIME")]
    pub lifetime: Option<String>,

    /// How long hosts may take to learn of a key, up to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub wait: Duration,

    /// Go on without hosts that give no answer; one that refuses is never left behind
    #[arg(long)]
    pub pass_over_silent: bool,

    /// Withdraw the old key, too; every Prometheus must have read the new token by then
    #[arg(long)]
    pub retire: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| *time <= Duration::from_hours(1));
    time.ok_or_else(|| "must be a time up to 1h".into())
}

/// Rotates; `say` gets a line for each step that is done.
///
/// # Errors
/// One sentence. The token in place is one that every host has accepted.
pub fn run(flags: &RotateFlags, home: Option<&Path>, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
    let token_file = place::behind_links(&flags.token_file)?;
    let _lock = lock(&token_file)?;
    let hosts = inventory::read(&flags.sources, flags.file_sd.as_deref(), home)?;
    let old = Pass::read(&token_file)?;
    let previous = match passes::previous(&token_file) {
        path if path.exists() => Some(Pass::read(&path)?),
        _ => None,
    };
    let auth_file = flags.auth_file.as_deref().map(AuthFile::read).transpose()?;
    let facts = Facts {
        token: old.kid.clone(),
        previous: previous.as_ref().map(|pass| pass.kid.clone()),
        wanted: flags.kid.clone(),
        has_key: flags.signing_key.exists(),
        listed: auth_file.as_ref().map(|file| file.kids().to_vec()),
    };
    let wish = Wish { make_key: flags.new_key, retire: flags.retire };
    let steps = plan(&facts, wish).map_err(|obstacle| FleetError::Usage(obstacle.to_string()))?;
    let asker = Arc::new(Asker::new(&flags.ask)?);
    let witnesses = Witnesses { asker, hosts, pass_over_silent: flags.pass_over_silent, patience: flags.wait };
    let runtime = verify::runtime()?;
    let mut rotation =
        Rotation { flags, token_file, witnesses, runtime, old, previous, candidate: None, unlisted: None };
    for step in &steps {
        if flags.dry_run {
            say(&format!("would {}", rotation.intention(step)));
        } else {
            rotation.take(step, say)?;
        }
    }
    if !flags.dry_run && facts.token != facts.wanted && !flags.retire {
        say(&format!(
            "the key {:?} still holds; once every Prometheus has read the new token, run this again with --retire",
            facts.token
        ));
    }
    rotation.runtime.shutdown_background();
    Ok(())
}

/// Two at once would undo each other. The folder of the token is locked: it stays, whatever is replaced in it.
fn lock(token_file: &Path) -> Result<Flock<File>, FleetError> {
    let folder = token_file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let opened =
        File::open(folder).map_err(|error| FleetError::File(format!("{} cannot be read ({error})", shown(folder))))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => {
            FleetError::File(format!("another rotation is under way in {}; wait for its end", shown(folder)))
        }
        errno => FleetError::File(format!("{} cannot be locked ({errno})", shown(folder))),
    })
}

/// A rotation under way.
struct Rotation<'a> {
    flags: &'a RotateFlags,
    token_file: PathBuf,
    witnesses: Witnesses,
    runtime: tokio::runtime::Runtime,
    /// In use when we began.
    old: Pass,
    /// In use before the last change of keys.
    previous: Option<Pass>,
    /// Signed, and accepted by every host.
    candidate: Option<Pass>,
    /// As it was with the old key.
    unlisted: Option<AuthFile>,
}

impl Rotation<'_> {
    /// Completes "would …" and, for messages, tells the file.
    fn intention(&self, step: &Step) -> String {
        let (token, hosts) = (shown(&self.token_file), self.witnesses.hosts.len());
        let auth_file = self.flags.auth_file.as_deref().map(shown).unwrap_or_default();
        match step {
            Step::MakeKey => format!("make the key {}", shown(&self.flags.signing_key)),
            Step::ListKey => format!("add the key {:?} to {auth_file}", self.flags.kid),
            Step::Try => {
                format!("sign a token with the key {:?}, and wait until {hosts} hosts accept it", self.flags.kid)
            }
            Step::Keep => format!("keep the token in use as {}", shown(&passes::previous(&self.token_file))),
            Step::Switch => format!("put the new token into {token}"),
            Step::Confirm => format!("ask {hosts} hosts with the token in {token}, and take it back if one refuses it"),
            Step::UnlistKey(kid) => format!("remove the key {kid:?} from {auth_file}"),
            Step::Retired(kid) => {
                format!("wait until {hosts} hosts refuse the key {kid:?}, and accept the token in use")
            }
            Step::Forget => format!("remove {}", shown(&passes::previous(&self.token_file))),
        }
    }

    fn take(&mut self, step: &Step, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        match step {
            Step::MakeKey => self.make_key(say),
            Step::ListKey => self.list_key(say),
            Step::Try => self.sign(say),
            Step::Keep => self.keep(),
            Step::Switch => self.switch(say),
            Step::Confirm => self.confirm(say),
            Step::UnlistKey(kid) => self.unlist_key(kid, say),
            Step::Retired(kid) => self.retired(kid, say),
            Step::Forget => self.forget(say),
        }
    }

    fn make_key(&self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let command = TokenCommand::Keygen(KeygenFlags {
            private: self.flags.signing_key.clone(),
            public: None,
            algorithm: self.flags.algorithm,
            kid: Some(self.flags.kid.clone()),
            owner: None,
        });
        token::run(&command, SystemTime::now()).map_err(of_token)?;
        say(&format!("the key {:?} is made: {}", self.flags.kid, shown(&self.flags.signing_key)));
        Ok(())
    }

    /// What hosts need to know the key by.
    fn lines(&self, name_of: impl FnOnce(&Path) -> String) -> String {
        let key = &self.flags.signing_key;
        let file = if self.flags.algorithm.is_symmetric() { key.clone() } else { keygen::with_pub(key) };
        keygen::lines(&self.flags.kid, self.flags.algorithm, &name_of(&file))
    }

    fn list_key(&self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let Some(path) = &self.flags.auth_file else { return Ok(()) };
        let file = AuthFile::read(path)?;
        file.add(&self.lines(|key| file.name_of(key)))?;
        say(&format!("the key {:?} is in {}; both must reach every host", self.flags.kid, shown(path)));
        Ok(())
    }

    /// Every host accepts the new token before it is used.
    fn sign(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let next = passes::next(&self.token_file);
        let lifetime = humantime::format_duration(self.old.lifetime).to_string();
        let command = TokenCommand::Mint(MintFlags {
            key: self.flags.signing_key.clone(),
            algorithm: self.flags.algorithm,
            kid: self.flags.kid.clone(),
            subject: self.old.subject.clone(),
            issuer: self.old.issuer.clone(),
            audience: self.old.audience.clone(),
            permissions: self.old.permissions.clone(),
            lifetime: self.flags.lifetime.clone().unwrap_or(lifetime),
            out: next.clone(),
            owner: None,
        });
        token::run(&command, SystemTime::now()).map_err(of_token)?;
        let signed = Pass::read(&next);
        // From here on it is in memory, and nowhere else until it is accepted.
        fs::remove_file(&next).map_err(|error| cannot("removed", &next, &error))?;
        let signed = signed?;
        let told = self.dissent(&signed, Expected::Accept)?;
        if !told.is_empty() {
            if self.old.kid != self.flags.kid {
                let lines = self.lines(shown);
                say(&format!(
                    "# each host needs the public key, and in its authentication file:\n{}",
                    lines.trim_end()
                ));
            }
            return Err(FleetError::Hosts(format!(
                "nothing has changed, since {} of {} hosts do not accept the new token: {}",
                told.len(),
                self.witnesses.hosts.len(),
                named(&told)
            )));
        }
        say(&format!("{} hosts accept a token of the key {:?}", self.witnesses.hosts.len(), self.flags.kid));
        self.candidate = Some(signed);
        Ok(())
    }

    fn keep(&mut self) -> Result<(), FleetError> {
        let path = passes::previous(&self.token_file);
        place::replace(&path, self.old.text.as_bytes(), 0o600)?;
        self.previous = Some(self.old.clone());
        Ok(())
    }

    fn switch(&self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let Some(candidate) = &self.candidate else { return Ok(()) };
        place::replace(&self.token_file, candidate.text.as_bytes(), 0o600)?;
        let ends = humantime::format_rfc3339_seconds(candidate.ends);
        say(&format!("the new token is in {} and ends at {ends}", shown(&self.token_file)));
        Ok(())
    }

    /// With what is in the file now. A switch that turns out badly is taken back.
    fn confirm(&self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let told = self.dissent(&Pass::read(&self.token_file)?, Expected::Accept)?;
        if told.is_empty() {
            say(&format!("{} hosts accept the token in {}", self.witnesses.hosts.len(), shown(&self.token_file)));
            return Ok(());
        }
        let (refusing, all, named) = (told.len(), self.witnesses.hosts.len(), named(&told));
        let what = if self.candidate.is_none() {
            "nothing has changed"
        } else if self.old.ends <= SystemTime::now() {
            "the new token stays, since the old one has ended"
        } else {
            place::replace(&self.token_file, self.old.text.as_bytes(), 0o600)?;
            "the old token is back in its place"
        };
        Err(FleetError::Hosts(format!(
            "{what}, since {refusing} of {all} hosts do not accept the one in {}: {named}",
            shown(&self.token_file)
        )))
    }

    fn unlist_key(&mut self, kid: &str, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let Some(path) = &self.flags.auth_file else { return Ok(()) };
        let file = AuthFile::read(path)?;
        file.remove(kid)?;
        self.unlisted = Some(file);
        say(&format!("the key {kid:?} is no longer in {}", shown(path)));
        Ok(())
    }

    /// Hosts that have not heard of it are named. What is removed comes back if a host needs it.
    fn retired(&self, kid: &str, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let previous = self.previous.as_ref().unwrap_or(&self.old);
        let has_ended = previous.ends <= SystemTime::now();
        // A token that has ended is refused whatever keys there are.
        let believing = if has_ended { Vec::new() } else { self.dissent(previous, Expected::Refuse)? };
        let told = self.dissent(&Pass::read(&self.token_file)?, Expected::Accept)?;
        if !told.is_empty() {
            let (hosts, named) = (told.len(), named(&told));
            let back = match &self.unlisted {
                Some(file) => {
                    file.restore()?;
                    "is back in the authentication file"
                }
                None => "must go back where it was removed",
            };
            return Err(FleetError::Hosts(format!(
                "the key {kid:?} {back}, since {hosts} hosts do not accept the token in use: {named}"
            )));
        }
        if !believing.is_empty() {
            say(&format!(
                "# remove from the authentication file of each host that is named below the table [[jwt.keys]], or from its \
                 key set the entry, with the kid {kid:?}"
            ));
            let (hosts, named) = (believing.len(), named(&believing));
            return Err(FleetError::Hosts(format!(
                "the key {kid:?} is not withdrawn from {hosts} hosts, so its token is not thrown away: {named}"
            )));
        }
        say(&if has_ended {
            format!(
                "the last token of the key {kid:?} has ended, so hosts cannot be asked whether they have forgotten the key: \
                 see to it that no authentication file has it"
            )
        } else {
            format!("{} hosts refuse the key {kid:?}, and accept the token in use", self.witnesses.hosts.len())
        });
        Ok(())
    }

    fn forget(&self, say: &mut dyn FnMut(&str)) -> Result<(), FleetError> {
        let path = passes::previous(&self.token_file);
        fs::remove_file(&path).map_err(|error| cannot("removed", &path, &error))?;
        say("done; the old private key can be deleted");
        Ok(())
    }

    fn dissent(&self, pass: &Pass, expected: Expected) -> Result<Vec<String>, FleetError> {
        let credential = Credential::token(&pass.text)?;
        Ok(self.runtime.block_on(self.witnesses.dissent(&credential, expected)))
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> FleetError {
    FleetError::File(format!("{} cannot be {what} ({error})", shown(path)))
}

fn of_token(error: TokenError) -> FleetError {
    match error {
        TokenError::Usage(said) => FleetError::Usage(said),
        TokenError::File(said) => FleetError::File(said),
        TokenError::Refused(said) => FleetError::Hosts(said.to_owned()),
    }
}
