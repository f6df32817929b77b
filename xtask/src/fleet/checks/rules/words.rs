//! What a message says about its number: whoever prints a rate must not call it a count. Pure.

/// Words that may stand after a rate or a gauge of cores or tasks: something per second, or what a second of time a second is.
const PER_SECOND: [&str; 7] = [
    "CPUs",
    "per second",
    "runs per second",
    "requests per second",
    "samples per second",
    "requests per minute",
    "tasks",
];

/// The first place in `message` where the value is printed in a way that does not fit a rate. A ratio or a time says what it is by
/// its format.
pub(super) fn misnamed(message: &str) -> Option<&str> {
    let mut rest = message;
    while let Some(at) = rest.find("{{ $value") {
        let here = rest.get(at..)?;
        let (action, after) = here.split_once("}}")?;
        let named = PER_SECOND.iter().any(|words| after.trim_start().starts_with(words));
        let formatted =
            ["humanizePercentage", "humanizeDuration", "humanize1024"].iter().any(|how| action.contains(how));
        if !named && !formatted {
            return Some(here);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::misnamed;

    #[test]
    fn a_rate_is_not_called_a_count() {
        assert!(misnamed("restarted {{ $value }} times").is_some());
        assert!(misnamed(r#"fails {{ $value | printf "%.0f" }} times in {{ $value | humanizeDuration }}"#).is_some());
        assert!(misnamed(r#"{{ $value | printf "%.1f" }} requests per second"#).is_none());
        assert!(misnamed("{{ $value | humanizePercentage }} of its CPU time").is_none());
        assert!(misnamed("nothing").is_none());
    }
}
