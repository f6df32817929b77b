//! The hosts, asked whether they accept a token. They may need a while: they read their files again every few seconds, and
//! something may have to carry the files to them first.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::super::{
    ask::{Answer, Asker, Credential},
    inventory::Host,
    verify::refusal,
};

/// Between two times that those are asked who have not come round yet.
const PAUSE: Duration = Duration::from_secs(1);
/// Named in one message.
const MOST_NAMED: usize = 10;

/// Who is asked.
pub(super) struct Witnesses {
    pub(super) asker: Arc<Asker>,
    pub(super) hosts: Vec<Host>,
    /// Whether a host that gives no answer at all counts as one that agrees.
    pub(super) pass_over_silent: bool,
    /// How long they may take to come round.
    pub(super) patience: Duration,
}

/// What a host is to do with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Accept,
    Refuse,
}

impl Witnesses {
    /// Asks until all do what is expected or patience is over: those who do not, and what they do instead.
    pub(super) async fn dissent(&self, credential: &Credential, expected: Expected) -> Vec<String> {
        let begun = Instant::now();
        let mut hosts = self.hosts.clone();
        loop {
            let answers = self.asker.ask_all(&hosts, credential, &mut |_| {}).await;
            let reasons: Vec<Option<String>> =
                answers.iter().map(|answer| objection(answer, expected, self.pass_over_silent)).collect();
            let mut left = Vec::new();
            let mut told = Vec::new();
            for (host, reason) in hosts.into_iter().zip(reasons) {
                if let Some(reason) = reason {
                    told.push(format!("{} {reason}", host.address));
                    left.push(host);
                }
            }
            hosts = left;
            if hosts.is_empty() || begun.elapsed() + PAUSE > self.patience {
                return told;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Continues a sentence that begins with the host; `None` if it does what is expected.
fn objection(answer: &Answer, expected: Expected, pass_over_silent: bool) -> Option<String> {
    let Some(status) = answer.status else {
        let why = answer.silence.as_ref().map_or_else(|| "gives no answer".to_owned(), ToString::to_string);
        return Some(why).filter(|_| !pass_over_silent);
    };
    match (expected, status) {
        (Expected::Refuse, 401) => None,
        (Expected::Refuse, 200) => Some("still accepts it".to_owned()),
        (Expected::Accept, 200) if answer.page.as_ref().is_none_or(|page| page.version.is_none()) => {
            Some("answers, but not as uidmeter".to_owned())
        }
        (Expected::Accept | Expected::Refuse, status) => refusal(status),
    }
}

/// All of them if they are few.
pub(super) fn named(told: &[String]) -> String {
    let more = told.len().saturating_sub(MOST_NAMED);
    let mut text = told.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::ask::{Answer, Page, Silence},
        Expected::{Accept, Refuse},
        named, objection,
    };

    fn of(status: u16) -> Answer {
        let page = (status == 200).then(|| Page { version: Some("1".into()), ..Page::default() });
        Answer { status: Some(status), page, ..Answer::default() }
    }

    #[test]
    fn only_what_was_expected_is_no_objection() {
        for (expected, fine) in [(Accept, 200), (Refuse, 401)] {
            for status in [200, 401, 403, 404, 429, 500, 503] {
                assert_eq!(objection(&of(status), expected, true).is_none(), status == fine, "{expected:?} {status}");
            }
        }
        let other = Answer { status: Some(200), page: Some(Page::default()), ..Answer::default() };
        assert!(objection(&other, Accept, true).is_some());
    }

    #[test]
    fn who_gives_no_answer_agrees_only_if_that_was_said() {
        for silence in [None, Some(Silence::Certificate("has expired")), Some(Silence::Connect("refused".into()))] {
            let answer = Answer { silence, ..Answer::default() };
            assert!(objection(&answer, Accept, false).is_some() && objection(&answer, Refuse, false).is_some());
            assert!(objection(&answer, Accept, true).is_none());
        }
    }

    #[test]
    fn a_message_names_ten() {
        let told: Vec<String> = (0..25).map(|at| at.to_string()).collect();
        assert_eq!(named(&told), "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 15 more");
        assert_eq!(named(&["a".to_owned()]), "a");
    }
}
