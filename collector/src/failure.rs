//! Why a command failed, in one sentence, and the exit code for it.

use std::{io::Write as _, process::ExitCode};

use collector::{
    config::ConfigError,
    fleet::FleetError,
    init::InitError,
    pipeline::{LimitsError, PrivilegeError, RunError, web::OpenError},
    policy::PolicyErrors,
    push::PushError,
    source::ebpf::{Lacking, LoadError},
    token::TokenError,
};

/// A flag or value that cannot be used.
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNEXPECTED: u8 = 1;
/// This host lacks something.
pub(crate) const HOST: u8 = 3;
/// This process may not.
pub(crate) const PRIVILEGE: u8 = 4;
const LISTEN: u8 = 5;

/// For `--help`; a test holds it and the codes together.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  something unexpected failed
  2  a flag or value cannot be used
  3  this host lacks what uidmeter needs
  4  this process lacks the privilege
  5  the address cannot be listened on";

/// One sentence and one code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    sentences: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, sentence: String) -> Self {
        Self { code, sentences: vec![sentence] }
    }

    /// Flags, values or files that cannot be used.
    pub(crate) fn usage(sentences: Vec<String>) -> Self {
        Self { code: USAGE, sentences }
    }

    /// All of it in one line.
    pub(crate) fn sentence(&self) -> String {
        self.sentences.join("; ")
    }

    /// Prints it and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        for sentence in self.sentences {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(stderr, "uidmeter: {sentence}");
        }
        self.code.into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.0.iter().map(ToString::to_string).collect())
    }
}

/// clap's message without the usage that it adds in several lines.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mistake = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let tip = lines.find_map(|line| line.strip_prefix("tip: ")).map(|tip| format!(" ({tip})")).unwrap_or_default();
        Self::new(USAGE, format!("{mistake}{tip}; see uidmeter --help"))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let code = match &error {
            LoadError::Lacking(lacking) => code_of(lacking),
            LoadError::TypeInformation(_) | LoadError::Read { .. } | LoadError::Refused { .. } => HOST,
            LoadError::Memory { .. } => USAGE,
        };
        Self::new(code, error.to_string())
    }
}

/// The code for what a host lacks.
pub(crate) fn code_of(lacking: &Lacking) -> u8 {
    match lacking {
        Lacking::Host(_) => HOST,
        Lacking::Privilege(_) => PRIVILEGE,
        Lacking::Build(_) => UNEXPECTED,
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Load(error) => error.into(),
            RunError::Web(OpenError::Files(problems)) => Self::usage(problems.0),
            RunError::Web(OpenError::Sockets(problems)) => Self { code: LISTEN, sentences: problems.0 },
            RunError::Limits(LimitsError::Policy(errors)) => errors.into(),
            RunError::Limits(LimitsError::Socket { .. }) => Self::new(LISTEN, error.to_string()),
            RunError::Privileges(PrivilegeError::NoUser(_)) => Self::new(USAGE, error.to_string()),
            RunError::Privileges(PrivilegeError::Refused { .. }) => Self::new(PRIVILEGE, error.to_string()),
            RunError::Push(PushError::Configuration(problems)) => Self::usage(problems),
            RunError::Limits(LimitsError::Enforcer(_))
            | RunError::EnforcerLost
            | RunError::Push(_)
            | RunError::System { .. }
            | RunError::OwnMetrics(_) => Self::new(UNEXPECTED, error.to_string()),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        let code = match error {
            InitError::Usage(_) => USAGE,
            InitError::File(_) => UNEXPECTED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Usage(_) => USAGE,
            TokenError::File(_) | TokenError::Refused(_) => UNEXPECTED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        let code = match error {
            FleetError::Usage(_) | FleetError::Input(_) => USAGE,
            FleetError::File(_) | FleetError::System(_) | FleetError::Hosts(_) => UNEXPECTED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PolicyErrors> for Failure {
    fn from(error: PolicyErrors) -> Self {
        Self { code: USAGE, sentences: error.0.iter().map(ToString::to_string).collect() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(UNEXPECTED, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{EXIT_CODES, HOST, LISTEN, PRIVILEGE, UNEXPECTED, USAGE};

    #[test]
    fn help_lists_every_exit_code() {
        for code in [0, UNEXPECTED, USAGE, HOST, PRIVILEGE, LISTEN] {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
