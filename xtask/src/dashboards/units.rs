//! Grafana's name for the unit of an expression, from the unit of its metric. Pure.

use anyhow::{Result, bail};

use super::catalogue::Catalogue;
use super::expression;

/// The unit of an expression that only adds up, sorts or picks what one kind of metric says.
///
/// # Errors
/// It computes with different things: the description has to say the unit.
pub(super) fn of(text: &str, catalogue: &Catalogue) -> Result<String> {
    let mut found: Option<&'static str> = None;
    let untold = || format!("the unit of {text:?} cannot be told from the catalogue: write `unit`");
    // A quotient, a product or a comparison has a unit of its own, and a count has none.
    if text.contains(" / ") || text.contains(" * ") || text.contains(" bool ") {
        bail!(untold());
    }
    for selector in expression::selectors(text)? {
        let unit = catalogue.find(selector.name)?.metric.unit;
        let is_inside = |name: &str| selector.inside.contains(&name);
        let quantile = is_inside("histogram_quantile") || is_inside("histogram_avg");
        let by_second = (is_inside("rate") || is_inside("irate")) && !quantile;
        if is_inside("count") {
            bail!(untold());
        }
        // Buckets count, but their quantiles are of the histogram's unit.
        let unit = match selector.name.strip_suffix("_bucket") {
            Some(family) if quantile => catalogue.find(family).map_or(unit, |series| series.metric.unit),
            _ => unit,
        };
        let name = match (unit.as_str(), by_second) {
            ("seconds", false) => "s",
            ("bytes", false) => "bytes",
            ("bytes", true) => "Bps",
            ("ratio", false) => "percentunit",
            ("cores", false) => "suffix:cores",
            ("", false) => "short",
            ("", true) => "cps",
            // CPU seconds a second are CPUs, seconds of waiting a second are not.
            _ => bail!(untold()),
        };
        if found.is_some_and(|other| other != name) {
            bail!(untold());
        }
        found = Some(name);
    }
    match found {
        Some(name) => Ok(name.to_owned()),
        None => bail!(untold()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "
| `x_bytes_total` | counter | bytes | `user` | B. | it |
| `x_total` | counter | – | `user` | N. | it |
| `x_seconds_total` | counter | seconds | `user` | T. | it |
| `x_bytes` | gauge | bytes | – | B. | it |
| `x_ratio` | gauge | ratio | – | R. | it |
| `x_wait_seconds` | histogram, native and classic | seconds | `user` | W. | it |
";

    #[test]
    fn a_sum_has_the_unit_of_its_metric_and_a_rate_that_of_its_growth() -> Result<()> {
        let catalogue = Catalogue::parse(DOCUMENT)?;
        for (text, unit) in [
            ("sum(rate(x_bytes_total[5m]))", "Bps"),
            ("sum(rate(x_total[5m]))", "cps"),
            ("sum(increase(x_seconds_total[5m]))", "s"),
            ("topk(3, sum by (user) (x_bytes))", "bytes"),
            ("max(x_ratio)", "percentunit"),
            ("histogram_quantile(0.9, sum by (le) (rate(x_wait_seconds_bucket[5m])))", "s"),
        ] {
            assert_eq!(of(text, &catalogue)?, unit, "{text}");
        }
        Ok(())
    }

    #[test]
    fn what_computes_has_to_say_its_unit() -> Result<()> {
        let catalogue = Catalogue::parse(DOCUMENT)?;
        for text in [
            "rate(x_seconds_total[5m])",
            "x_bytes / x_bytes",
            "count(x_bytes)",
            "x_bytes or x_ratio",
            "sum(x_bytes > bool 1)",
            "1",
        ] {
            assert!(of(text, &catalogue).is_err(), "{text}");
        }
        Ok(())
    }
}
