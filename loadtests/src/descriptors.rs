//! Room for open files.

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process have `wanted` files open.
pub(crate) fn raise(wanted: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(wanted <= hard, "{wanted} open files are needed and {hard} are allowed; raise that limit (ulimit -Hn)");
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise the number of open files")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::raise;

    #[test]
    fn what_is_not_allowed_is_said_to_be_missing() {
        assert!(raise(1).is_ok());
        assert!(raise(u64::MAX).is_err_and(|error| error.to_string().contains("open files are needed")));
    }
}
