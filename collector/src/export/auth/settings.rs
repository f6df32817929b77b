//! The authentication file (TOML) beside the web configuration file → one checked [`Settings`], with every problem
//! reported at once.
//!
//! The web configuration file has a schema that other programs check, too; what it has no place for stands here: keys
//! for tokens and what tokens must say, who may do what, and how much guessing is allowed. Holds no secret itself, names
//! files that do.

mod jwt;
mod listen;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest;

use super::{
    super::{
        bounded_file::{self, Readers, shown},
        document::{Entry, MOST_BYTES, Node, Problems, Section, bounded, nearest, parse_toml, texts_of},
        web_config::{BasicUsers, ClientAuth, WebConfig},
    },
    jwt::Rules,
    keys::VerifyingKey,
    limiter::Allowance,
    permissions::{Permission, Permissions},
};

/// What requests must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing, unless client certificates are verified.
    #[default]
    None,
    /// A name and a password.
    Basic,
    /// A token.
    Jwt,
    /// Either.
    Both,
}

impl Mode {
    const NAMES: [(&'static str, Self); 4] =
        [("none", Self::None), ("basic", Self::Basic), ("jwt", Self::Jwt), ("both", Self::Both)];

    /// Whether a password is a way in.
    pub const fn takes_passwords(self) -> bool {
        matches!(self, Self::Basic | Self::Both)
    }

    /// Whether a token is a way in.
    pub const fn takes_tokens(self) -> bool {
        matches!(self, Self::Jwt | Self::Both)
    }
}

/// Keys for tokens, and what tokens must say.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// At least one; each with another `kid`, or a single one without.
    pub keys: Vec<VerifyingKey>,
    /// The rules.
    pub rules: Rules,
}

/// What certificates are good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// What the handshake asks for.
    pub client_auth: ClientAuth,
    /// Whether a verified certificate alone is a way in.
    pub sufficient: bool,
    /// Digest of CAs and allowed names.
    pub digest: [u8; 32],
}

/// Permissions by name, and of everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    by_name: HashMap<String, Permissions>,
    others: Permissions,
}

impl Default for Grants {
    fn default() -> Self {
        Self { by_name: HashMap::new(), others: Permissions::READ }
    }
}

impl Grants {
    /// What `name` may.
    pub fn of(&self, name: &str) -> Permissions {
        self.by_name.get(name).copied().unwrap_or(self.others)
    }

    /// What somebody with several names may: all that any of them is given by name, or what the others may.
    pub fn of_any<'a>(&self, names: impl Iterator<Item = &'a str>) -> Permissions {
        let given = names.filter_map(|name| self.by_name.get(name)).copied().reduce(Permissions::union);
        given.unwrap_or(self.others)
    }
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What requests must show.
    pub mode: Mode,
    /// Whether `/-/healthy` and `/-/ready` answer everybody.
    pub open_health: bool,
    /// At least one user if `mode` takes passwords.
    pub users: BasicUsers,
    /// What users may.
    pub user_grants: Grants,
    /// Keys and rules if `mode` takes tokens.
    pub jwt: Option<JwtSettings>,
    /// What client certificates are good for.
    pub certificates: CertificateSettings,
    /// What their holders may.
    pub certificate_grants: Grants,
    /// How many failures an address may cause.
    pub failures: Allowance,
    /// What is unwise: one sentence each, for the log.
    pub warnings: Vec<String>,
    /// Every file that was read: a change in any of them is a reason to reload.
    pub files: Vec<PathBuf>,
}

/// All that is wrong: one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

impl Settings {
    /// Reads the authentication file, if there is one, and fits it to the web configuration.
    ///
    /// # Errors
    /// One sentence for each problem.
    pub fn load(web: &WebConfig, auth_file: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = auth_file else {
            return Self::parse(web, b"", Path::new(""));
        };
        let contents = bounded_file::read("the authentication file", path, MOST_BYTES, Readers::Anybody)
            .map_err(|sentence| SettingsError(vec![sentence]))?;
        Self::parse(web, &contents.bytes, path)
    }

    /// What is wrong with the authentication file whatever the web configuration says, which cannot be used.
    pub fn problems_of(auth_file: Option<&Path>) -> Vec<String> {
        let Some(path) = auth_file else { return Vec::new() };
        match bounded_file::read("the authentication file", path, MOST_BYTES, Readers::Anybody) {
            Ok(contents) => Self::fitted(None, &contents.bytes, path).err().map(|error| error.0).unwrap_or_default(),
            Err(sentence) => vec![sentence],
        }
    }

    /// Checks `bytes`, the contents of `path`, and the files that they name, relative to its folder.
    ///
    /// # Errors
    /// One sentence for each problem.
    pub fn parse(web: &WebConfig, bytes: &[u8], path: &Path) -> Result<Self, SettingsError> {
        Self::fitted(Some(web), bytes, path)
    }

    /// Without `web`, whether the two files fit together is not asked.
    fn fitted(web: Option<&WebConfig>, bytes: &[u8], path: &Path) -> Result<Self, SettingsError> {
        let mut reading = Reading::of(path);
        let settings = match parse_toml(bytes) {
            Ok(root) => read(web, &root, &mut reading),
            Err(mistake) => {
                reading.problems.mistake(&mistake);
                None
            }
        };
        match settings {
            Some(mut settings) if reading.problems.is_empty() => {
                settings.warnings = reading.warnings;
                settings.files = reading.files;
                Ok(settings)
            }
            _ => Err(SettingsError(reading.problems.into_sentences())),
        }
    }
}

/// The section `[jwt]` of an authentication file alone: what a host would do with tokens.
///
/// # Errors
/// One sentence for each problem.
pub fn read_jwt_settings(path: &Path) -> Result<JwtSettings, SettingsError> {
    let contents = bounded_file::read("the authentication file", path, MOST_BYTES, Readers::Anybody)
        .map_err(|sentence| SettingsError(vec![sentence]))?;
    let mut reading = Reading::of(path);
    let jwt = match parse_toml(&contents.bytes) {
        Ok(root) => {
            Section::new(&root, "", &mut reading.problems).and_then(|mut root| jwt::read(&mut root, &mut reading))
        }
        Err(mistake) => {
            reading.problems.mistake(&mistake);
            None
        }
    };
    match jwt {
        Some(jwt) if reading.problems.is_empty() => Ok(jwt),
        None if reading.problems.is_empty() => {
            Err(SettingsError(vec![format!("{} has no section [jwt]", shown(path))]))
        }
        _ => Err(SettingsError(reading.problems.into_sentences())),
    }
}

/// What is known while the file is read.
struct Reading {
    folder: PathBuf,
    problems: Problems,
    warnings: Vec<String>,
    files: Vec<PathBuf>,
}

impl Reading {
    fn of(path: &Path) -> Self {
        Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            problems: Problems::of(path),
            warnings: Vec::new(),
            files: if path.as_os_str().is_empty() { Vec::new() } else { vec![path.to_owned()] },
        }
    }
}

fn read(web: Option<&WebConfig>, root: &Node, reading: &mut Reading) -> Option<Settings> {
    let mut root = Section::new(root, "", &mut reading.problems)?;
    let named_mode = root.text("mode", &mut reading.problems);
    let open_health = root.bool("open_health", &mut reading.problems).unwrap_or(false);
    let jwt = jwt::read(&mut root, reading);
    let user_grants = read_grants(root.section("basic", &mut reading.problems), reading);
    let mut section = root.section("certificates", &mut reading.problems);
    let sufficient = section.as_mut().and_then(|section| section.bool("sufficient", &mut reading.problems));
    let certificate_grants = read_grants(section, reading);
    let failures = read_failures(&mut root, reading);
    let has_jwt = root.has("jwt");
    root.finish(&mut reading.problems);

    let (empty, unknown) = (WebConfig::default(), web.is_none());
    let web = web.unwrap_or(&empty);
    // A mode that asks for users is taken at its word if nobody can look.
    let has_users = if unknown {
        named_mode.as_ref().is_some_and(|(mode, _)| mode != "none" && mode != "jwt")
    } else {
        web.basic.is_some()
    };
    let mode = read_mode(named_mode, has_users, has_jwt, reading);
    let client_auth = web.tls.as_ref().map_or(ClientAuth::None, |tls| tls.client_auth);
    if !unknown && sufficient == Some(true) && !client_auth.verifies() {
        reading.problems.at(0, "certificates.sufficient needs client certificates that are verified: set client_auth_type in the web configuration file");
    }
    let certificates = CertificateSettings {
        client_auth,
        sufficient: client_auth.verifies() && (mode == Mode::None || sufficient == Some(true)),
        digest: certificate_digest(web),
    };
    let users = web.basic.clone().filter(|_| mode.takes_passwords()).unwrap_or(BasicUsers(Vec::new()));
    for name in user_grants.by_name.keys().filter(|name| !users.0.iter().any(|user| user.name == **name)) {
        reading.warnings.push(format!("basic.permissions names {:?}, who is no user", bounded(name)));
    }
    Some(Settings {
        mode,
        open_health,
        users,
        user_grants,
        jwt: jwt.filter(|_| mode.takes_tokens()),
        certificates,
        certificate_grants,
        failures,
        warnings: Vec::new(),
        files: Vec::new(),
    })
}

/// What is configured must be used: a mode that forgets a section would open what the section was to close.
fn read_mode(named: Option<(String, u64)>, has_users: bool, has_jwt: bool, reading: &mut Reading) -> Mode {
    let configured = match (has_users, has_jwt) {
        (false, false) => Mode::None,
        (true, false) => Mode::Basic,
        (false, true) => Mode::Jwt,
        (true, true) => Mode::Both,
    };
    let Some((name, line)) = named else {
        return configured;
    };
    let Some((_, mode)) = Mode::NAMES.into_iter().find(|(known, _)| *known == name) else {
        let sentence = format!("mode {:?} is unknown; known are none, basic, jwt and both", bounded(&name));
        reading.problems.at(line, sentence);
        return configured;
    };
    if mode.takes_passwords() && !has_users {
        reading.problems.at(line, format!("mode {name} needs basic_auth_users in the web configuration file"));
    }
    if mode.takes_tokens() && !has_jwt {
        reading.problems.at(line, format!("mode {name} needs a section [jwt]"));
    }
    if mode == Mode::None && configured != Mode::None {
        reading
            .problems
            .at(line, "mode none would let everybody in past the configured users or tokens; remove one or the other");
    } else if mode != configured {
        let unused = if mode.takes_passwords() { "[jwt]" } else { "basic_auth_users" };
        reading.warnings.push(format!("{}: mode {name} leaves {unused} unused", reading.problems.place(line)));
    }
    mode
}

fn read_failures(root: &mut Section<'_>, reading: &mut Reading) -> Allowance {
    let mut allowance = Allowance { burst: 10, interval: Duration::from_secs(2) };
    let Some(mut section) = root.section("failures", &mut reading.problems) else {
        return allowance;
    };
    if let Some(burst) = section.integer("burst", 1..=1000, &mut reading.problems) {
        allowance.burst = u32::try_from(burst).unwrap_or(allowance.burst);
    }
    let range = Duration::from_millis(100)..=Duration::from_hours(1);
    if let Some(interval) = duration(&mut section, "interval", range, "100ms and 1h", reading) {
        allowance.interval = interval;
    }
    section.finish(&mut reading.problems);
    allowance
}

/// A time within `range`, which messages call `called`.
fn duration(
    section: &mut Section<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<Duration>,
    called: &str,
    reading: &mut Reading,
) -> Option<Duration> {
    let (text, line) = section.text(key, &mut reading.problems)?;
    let found = humantime::parse_duration(&text).ok().filter(|time| range.contains(time));
    if found.is_none() {
        let sentence = format!("{} {:?} is not a time between {called}", section.path(key), bounded(&text));
        reading.problems.at(line, sentence);
    }
    found
}

/// `default_permissions` and `[….permissions]`.
fn read_grants(section: Option<Section<'_>>, reading: &mut Reading) -> Grants {
    let mut grants = Grants::default();
    let Some(mut section) = section else {
        return grants;
    };
    if let Some(names) = section.texts("default_permissions", &mut reading.problems) {
        grants.others = permissions(names, reading);
    }
    if let Some(by_name) = section.section("permissions", &mut reading.problems) {
        for Entry { key, node, .. } in by_name.entries() {
            let path = by_name.path(&bounded(key));
            let names = texts_of(node, &path, &mut reading.problems).unwrap_or_default();
            grants.by_name.insert(key.clone(), permissions(names, reading));
        }
    }
    section.finish(&mut reading.problems);
    grants
}

fn permissions(names: Vec<(String, u64)>, reading: &mut Reading) -> Permissions {
    let mut found = Permissions::NONE;
    for (name, line) in names {
        if let Some(permission) = Permission::of_name(&name) {
            found = found.with(permission);
            continue;
        }
        let known = Permission::ALL.map(Permission::name);
        let hint = nearest(&name, &known)
            .map_or_else(|| format!("; known are {}", known.join(", ")), |name| format!("; did you mean {name}?"));
        reading.problems.at(line, format!("the permission {:?} is unknown{hint}", bounded(&name)));
    }
    found
}

fn certificate_digest(web: &WebConfig) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    if let Some(tls) = &web.tls {
        for certificate in &tls.client_ca {
            context.update(&(certificate.len() as u64).to_be_bytes());
            context.update(certificate);
        }
        context.update(format!("{:?} {:?}", tls.client_auth, tls.client_allowed_sans).as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
