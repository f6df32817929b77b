//! What was written is what is read, whatever happened in between.

#![expect(clippy::unwrap_used, reason = "to be replaced")]

use std::{cell::RefCell, rc::Rc};

use super::{Entry, Group, Journal, Kind, Legacy, Note, Property, Store, Uid, Value, io, replay};

#[derive(Default)]
struct Memory {
    bytes: Rc<RefCell<Vec<u8>>>,
    /// So many more bytes fit.
    room: Option<usize>,
}

impl Store for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = self.room.unwrap_or(bytes.len()).min(bytes.len());
        self.bytes.borrow_mut().extend(&bytes[..fits]);
        self.room = self.room.map(|room| room - fits);
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        *self.bytes.borrow_mut() = bytes.to_vec();
        Ok(())
    }
}

fn journal(room: Option<usize>) -> (Journal, Rc<RefCell<Vec<u8>>>) {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let store = Memory { bytes: Rc::clone(&bytes), room };
    (Journal::over(Box::new(store), "journal".into(), "boot", Kind::Systemd, &[]).0, bytes)
}

fn take(uid: u32, property: Property, new: &str) -> Entry {
    let group = Group { place: format!("user-{uid}.slice"), life: 1 };
    Entry::Take { uid: Uid(uid), group, property, old: Value::one("x", "max"), new: Value::one("x", new) }
}

fn entries() -> Vec<Entry> {
    let moved = Note::Moved { uid: Some(Uid(20_002)), pid: 7, start: 9, from: "/a b".into() };
    vec![
        take(20_001, Property::CpuMax, "1"),
        take(20_001, Property::MemoryHigh, "2"),
        Entry::Note(moved),
        take(20_001, Property::CpuMax, "3"),
        Entry::Gave { uid: Uid(20_001), property: Property::MemoryHigh },
        take(20_002, Property::CpuWeight, "4"),
        Entry::Done { uid: Uid(20_001) },
    ]
}

/// What is left after the first `count` of [`entries`], told in the simplest way.
fn expected(count: usize) -> Legacy {
    let (mut one_at_a_time, bytes) = journal(None);
    for entry in &entries()[..count] {
        one_at_a_time.append(std::slice::from_ref(entry)).unwrap();
    }
    let bytes = bytes.borrow();
    replay(&bytes, "boot").0
}

#[test]
fn what_is_left_is_what_was_taken_and_not_given_back() {
    assert_eq!(expected(0), Legacy::default());
    let four = expected(4);
    assert_eq!(four.driver, Some(Kind::Systemd));
    let first = &four.users[&Uid(20_001)];
    assert_eq!(first.taken.len(), 2);
    let cpu = &first.taken[&Property::CpuMax];
    assert_eq!(
        (cpu.old.clone(), cpu.new.clone()),
        (Value::one("x", "max"), vec![Value::one("x", "1"), Value::one("x", "3")])
    );
    assert_eq!((four.users.len(), four.notes.len()), (2, 1), "a moved process is something to undo, too");
    assert_eq!(expected(5).users[&Uid(20_001)].taken.len(), 1);
    let all = expected(7);
    assert_eq!(all.users.keys().copied().collect::<Vec<_>>(), [Uid(20_002)]);
}

#[test]
fn a_journal_cut_at_any_byte_tells_all_records_before_the_cut() {
    let (mut journal, bytes) = journal(None);
    journal.append(&entries()).unwrap();
    let bytes = bytes.borrow();
    for cut in 0..=bytes.len() {
        // A record is whole once its last brace is there; the line's end adds nothing.
        let whole = (0..=entries().len())
            .rev()
            .find(|count| {
                let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
                *count == 0 || ends.clone().nth(count - 1).is_some_and(|end| end <= cut)
            })
            .unwrap();
        let (found, _) = replay(&bytes[..cut], "boot");
        assert_eq!((found.users, found.notes), (expected(whole).users, expected(whole).notes), "cut at byte {cut}");
    }
}

#[test]
fn damage_in_the_middle_costs_the_damaged_record_only() {
    let (mut journal, bytes) = journal(None);
    journal.append(&entries()[..2]).unwrap();
    let clean = bytes.borrow().clone();
    let (whole, _) = replay(&clean, "boot");
    for at in 0..clean.len() {
        let mut bytes = clean.clone();
        bytes[at] ^= 1;
        let (found, _) = replay(&bytes, "boot");
        assert!(found.damaged > 0 || found == whole, "byte {at}");
        let properties = found.users.get(&Uid(20_001)).map_or(0, |left| left.taken.len());
        assert!(
            (1..=2).contains(&properties) || at == clean.iter().position(|byte| *byte == b'\n').unwrap(),
            "byte {at}"
        );
    }
}

#[test]
fn after_a_torn_record_the_next_one_counts() {
    for room in 0..200 {
        let (mut journal, bytes) = journal(Some(room));
        if journal.append(&[take(20_001, Property::CpuMax, "1")]).is_ok() {
            continue;
        }
        // Somebody made room.
        let file = bytes.borrow().clone();
        *bytes.borrow_mut() = file;
        journal.store = Box::new(Memory { bytes: Rc::clone(&bytes), room: None });
        journal.append(&[take(20_002, Property::CpuMax, "1")]).unwrap();
        let (found, _) = replay(&bytes.borrow(), "boot");
        assert!(found.users.contains_key(&Uid(20_002)), "room for {room} bytes");
    }
}

#[test]
fn another_boots_records_are_nothing_to_undo() {
    let (mut journal, bytes) = journal(None);
    journal.append(&entries()).unwrap();
    let (found, last) = replay(&bytes.borrow(), "another boot");
    assert_eq!((found, last), (Legacy::default(), 7));
}

#[test]
fn a_file_has_one_owner_and_is_on_storage_when_append_returns() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Journal::open(&folder.path().join("x.journal"), Kind::Systemd, std::time::Duration::ZERO);
    let (mut journal, legacy) = open().unwrap();
    assert_eq!(legacy, Legacy::default());
    journal.append(&entries()[..1]).unwrap();
    let refused = open().err().unwrap().to_string();
    assert!(refused.starts_with("another enforcer is at work"), "{refused}");
    drop(journal);
    let (mut journal, legacy) = open().unwrap();
    assert_eq!(legacy.users.len(), 1);
    journal.replace(&entries()[5..6]).unwrap();
    journal.append(&entries()[..1]).unwrap();
    drop(journal);
    let (mut journal, legacy) = open().unwrap();
    assert_eq!(legacy.users.len(), 2);
    journal.replace(&[]).unwrap();
    drop(journal);
    assert_eq!(open().unwrap().1, Legacy::default());
}
