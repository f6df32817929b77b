//! Whatever happens to the files, what was whole is still there, in order.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use proptest::{
    prelude::{any, prop, prop_assert, prop_assert_eq, proptest},
    test_runner::{Config, TestCaseError},
};

use super::{LEAST_SEGMENT, Lost, Queue, QueueError, Record};
use crate::config::PushProtocol;

type Outcome = Result<(), Box<dyn Error>>;

const PLENTY: u64 = 1 << 30;

/// A record that can be told from others by its timestamp and its body.
fn record(number: i64, length: usize) -> Record {
    let byte = u8::try_from(number.rem_euclid(251)).unwrap_or_default();
    Record { protocol: PushProtocol::V2, samples: 10, timestamp: number, body: vec![byte; length] }
}

/// Takes everything out: numbers of the records, and what was lost.
fn drain(queue: &mut Queue) -> Result<(Vec<i64>, Vec<Lost>), QueueError> {
    let (mut numbers, mut lost) = (Vec::new(), Vec::new());
    while let Some(waiting) = queue.peek(&mut lost)? {
        let expected = record(waiting.record.timestamp, waiting.record.body.len());
        assert_eq!(waiting.record, expected, "a record came out otherwise than it went in");
        numbers.push(waiting.record.timestamp);
        queue.remove(&waiting)?;
    }
    Ok((numbers, lost))
}

fn take(queue: &mut Queue, count: usize) -> Result<Vec<i64>, QueueError> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let Some(waiting) = queue.peek(&mut Vec::new())? else { break };
        numbers.push(waiting.record.timestamp);
        queue.remove(&waiting)?;
    }
    Ok(numbers)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "segment")).collect();
    paths.sort();
    paths
}

#[test]
fn records_come_out_in_order_and_a_restart_loses_and_repeats_none() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut queue, lost) = Queue::open(folder.path())?;
    assert!(lost.is_empty() && queue.is_empty() && queue.waiting() == 0);
    for number in 0..300 {
        assert_eq!(queue.append(&record(number, 1000), PLENTY)?, 0);
    }
    assert!(segments(folder.path()).len() == 1 && queue.waiting() > 300_000);
    assert_eq!(take(&mut queue, 100)?, (0..100).collect::<Vec<_>>());
    drop(queue);
    let (mut queue, lost) = Queue::open(folder.path())?;
    assert_eq!((lost.len(), queue.newest()), (0, Some(299)));
    queue.append(&record(300, 5), PLENTY)?;
    assert_eq!(drain(&mut queue)?, ((100..301).collect(), Vec::new()));
    assert!(queue.is_empty() && queue.waiting() == 0);
    drop(queue);
    let (mut queue, _) = Queue::open(folder.path())?;
    assert_eq!(drain(&mut queue)?.0, Vec::<i64>::new());
    // Everything has been sent, and order is kept across the restart nevertheless.
    assert_eq!(queue.newest(), Some(300));
    Ok(())
}

#[test]
fn the_oldest_go_when_there_is_no_room_and_are_counted() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut queue, _) = Queue::open(folder.path())?;
    let most = 16 * LEAST_SEGMENT;
    let mut dropped = 0;
    for number in 0..2_000 {
        dropped += queue.append(&record(number, 1_000), most)?;
        let size: u64 = segments(folder.path()).iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
        assert!(size <= most, "{size} bytes after {number} records");
    }
    let (numbers, lost) = drain(&mut queue)?;
    assert!(lost.is_empty() && numbers.last() == Some(&1_999));
    assert_eq!(numbers, (2_000 - i64::try_from(numbers.len())?..2_000).collect::<Vec<_>>());
    assert_eq!(dropped, 10 * (2_000 - numbers.len() as u64));
    // No more than a segment more than necessary.
    assert!(numbers.len() as u64 * 1_028 > most - 2 * LEAST_SEGMENT, "{}", numbers.len());
    Ok(())
}

#[test]
fn what_goes_to_make_room_while_it_is_sent_takes_nothing_else_along() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut queue, _) = Queue::open(folder.path())?;
    let most = 16 * LEAST_SEGMENT;
    queue.append(&record(0, 1_000), most)?;
    let sending = queue.peek(&mut Vec::new())?.ok_or("nothing")?;
    for number in 1..3_000 {
        queue.append(&record(number, 1_000), most)?;
    }
    let before = queue.waiting();
    queue.remove(&sending)?;
    assert_eq!(queue.waiting(), before);
    Ok(())
}

#[test]
fn what_has_been_sent_is_deleted() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut queue, _) = Queue::open(folder.path())?;
    for number in 0..1_000 {
        queue.append(&record(number, 1_000), 16 * LEAST_SEGMENT)?;
        take(&mut queue, 1)?;
        assert!(segments(folder.path()).len() <= 1);
    }
    assert_eq!(queue.waiting(), 0);
    Ok(())
}

#[test]
fn a_damaged_segment_is_passed_over_with_one_sentence() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut queue, _) = Queue::open(folder.path())?;
    for number in 0..500 {
        queue.append(&record(number, 1_000), 16 * LEAST_SEGMENT)?;
    }
    drop(queue);
    let paths = segments(folder.path());
    assert!(paths.len() > 4);
    // In one a body, in one a header, of one the beginning, and one is gone.
    for (path, at) in [(&paths[0], 8 + 10 * 1_028 + 500), (&paths[1], 8 + 10 * 1_028 + 2), (&paths[2], 3)] {
        let mut bytes = fs::read(path)?;
        bytes[at] ^= 0x40;
        fs::write(path, bytes)?;
    }
    fs::remove_file(&paths[3])?;
    let (mut queue, mut lost) = Queue::open(folder.path())?;
    let (numbers, more) = drain(&mut queue)?;
    lost.extend(more);
    let sentences: Vec<_> = lost.iter().map(|lost| lost.sentence.as_str()).collect();
    assert_eq!(sentences.len(), 3, "{sentences:#?}");
    assert!(sentences.iter().all(|sentence| sentence.contains(".segment is damaged at byte")), "{sentences:#?}");
    // Ten of the first, ten of the second, and all of those behind.
    assert!(numbers.is_sorted() && numbers.starts_with(&(0..10).collect::<Vec<_>>()) && numbers.ends_with(&[499]));
    let kept = 500 - 4 * 63 + 20;
    assert_eq!(numbers.len(), kept);
    // Of the first, it is known how many were in it.
    assert_eq!(lost.iter().map(|lost| lost.samples).max(), Some(10 * (63 - 10)));
    Ok(())
}

#[test]
fn two_daemons_do_not_share_a_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let first = Queue::open(folder.path())?;
    let second = Queue::open(folder.path()).map(drop).map_err(|error| error.to_string());
    assert!(second.is_err_and(|said| said.contains("in use by another process")));
    drop(first);
    assert!(Queue::open(folder.path()).is_ok());
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_used_is_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let said = Queue::open(&folder.path().join("none")).map(drop).map_err(|error| error.to_string());
    assert!(said.is_err_and(|said| said.contains("none cannot be used") && said.contains("process.user")));
    Ok(())
}

/// What a crash or a disk may do to the last segment.
fn damaged_tail(bytes: &[u8], cut: usize, noise: &[u8]) -> Vec<u8> {
    [bytes.get(..cut).unwrap_or(bytes), noise].concat()
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    /// Recovery from any truncation, with or without rubbish behind it.
    #[test]
    fn after_any_truncation_the_records_that_were_whole_are_there_and_new_ones_follow(
        lengths in prop::collection::vec(0_usize..3_000, 1..20),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..60),
        sent in any::<prop::sample::Index>(),
    ) {
        let failed = |error: &dyn std::fmt::Display| TestCaseError::fail(error.to_string());
        let folder = tempfile::tempdir()?;
        let (mut queue, _) = Queue::open(folder.path()).map_err(|error| failed(&error))?;
        let mut ends = vec![8];
        for (number, length) in (0..).zip(&lengths) {
            queue.append(&record(number, *length), PLENTY).map_err(|error| failed(&error))?;
            ends.push(ends[ends.len() - 1] + 28 + length);
        }
        let sent = sent.index(lengths.len() + 1);
        take(&mut queue, sent).map_err(|error| failed(&error))?;
        drop(queue);
        let path = segments(folder.path()).pop().ok_or(TestCaseError::fail("no segment"))?;
        let bytes = fs::read(&path)?;
        let cut = cut.index(bytes.len() + 1);
        fs::write(&path, damaged_tail(&bytes, cut, &noise))?;

        let (mut queue, lost) = Queue::open(folder.path()).map_err(|error| failed(&error))?;
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let is_torn = cut < 8 && cut + noise.len() > 0 || cut >= 8 && ends[whole] < cut + noise.len();
        prop_assert_eq!(lost.len(), usize::from(is_torn), "{:?}", lost);
        queue.append(&record(100, 7), PLENTY).map_err(|error| failed(&error))?;
        let (numbers, damage) = drain(&mut queue).map_err(|error| failed(&error))?;
        let expected: Vec<i64> =
            (0..).take(whole).skip(sent).chain([100]).collect();
        prop_assert_eq!(numbers, expected);
        prop_assert!(damage.is_empty());
    }
}
