//! Which slot is whose, and the life of a slot: claimed by the kernel programs, taken back here once its user has no task left.
//!
//! Rows in the kernel are never reset, since nobody but their CPU may write them. A slot that changes hands keeps its counts;
//! the next owner's begin where they stand. What the last owner did is kept beside the table, so that nothing is lost and
//! counters go on when he comes back.
//!
//! Taking back a slot safely takes two walks over all tasks; see [`SlotTable::unused`] and [`SlotTable::release`].

use std::collections::BTreeMap;

use collector_ebpf::layout::{FIRST_USER_SLOT, KERNEL_SLOT, OVERFLOW_SLOT, UidCounters, UidEvents, owner, page_kind};

use super::{
    banks::{Banks, add, subtract},
    mode_split::ModeSplit,
};
use crate::{
    snapshot::{Census, Holdings, Owner},
    units::{Bytes, Nanos, Uid},
};

/// Everything counted under one slot or for one user.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) counters: UidCounters,
    pub(super) events: UidEvents,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        add(&mut self.counters, &other.counters);
        add(&mut self.events, &other.events);
    }

    fn subtract(&mut self, other: &Self) {
        subtract(&mut self.counters, &other.counters);
        subtract(&mut self.events, &other.events);
    }
}

/// A user who has, or had, a slot.
#[derive(Default)]
pub(super) struct User {
    slots: Vec<u32>,
    /// From slots that he has no more.
    past: Option<Box<Tally>>,
    /// The last split of his CPU time.
    pub(super) split: ModeSplit,
}

/// What is known of one slot.
#[derive(Default)]
struct Slot {
    /// Counts of former owners.
    former: Option<Box<Tally>>,
    /// The row's sum over CPUs as of `marks`.
    sum: Option<Box<UidCounters>>,
    marks: Vec<u64>,
    /// Walks in a row that met no task with it.
    unused_walks: u32,
    /// The kernel programs no longer find it.
    detached: bool,
}

/// All slots and users.
pub(super) struct SlotTable {
    /// Entries as of the last reading.
    owners: Vec<u64>,
    slots: Vec<Slot>,
    users: BTreeMap<Uid, User>,
}

impl SlotTable {
    pub(super) fn new(slots: u32) -> Self {
        let slots = slots as usize;
        Self {
            owners: vec![0; slots],
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            users: BTreeMap::new(),
        }
    }

    /// Finds out who has claimed a slot meanwhile.
    pub(super) fn note_owners(&mut self, banks: &Banks) {
        if !banks.copy_owners(&mut self.owners) {
            return;
        }
        for user in self.users.values_mut() {
            user.slots.clear();
        }
        for (slot, entry) in (0..).zip(&self.owners).skip(FIRST_USER_SLOT as usize) {
            if let Some(uid) = owner(*entry) {
                self.users.entry(Uid(uid)).or_default().slots.push(slot);
            }
        }
        // Who has nothing counted, and lost a race for a slot, was never here.
        self.users.retain(|_, user| user.past.is_some() || !user.slots.is_empty());
    }

    /// Every user with all that he was ever charged.
    pub(super) fn tallies<'a>(&'a mut self, banks: &'a Banks) -> impl Iterator<Item = (Uid, &'a mut ModeSplit, Tally)> {
        let Self { slots, users, .. } = self;
        users.iter_mut().map(|(uid, user)| {
            let mut tally = user.past.as_deref().copied().unwrap_or_default();
            for slot in &user.slots {
                tally.add(&of_slot(slots, banks, *slot));
            }
            (*uid, &mut user.split, tally)
        })
    }

    /// What is counted under one slot by its present owner.
    pub(super) fn tally(&mut self, banks: &Banks, slot: u32) -> Tally {
        of_slot(&mut self.slots, banks, slot)
    }

    /// What walk number `walk`, which ended at `taken`, found everybody to hold.
    pub(super) fn census(&self, banks: &Banks, walk: u64, page: u64, taken: Nanos) -> Census {
        let held = |slot: u32| {
            let row = banks.holdings.load(slot as usize);
            let bytes = |kind: usize| Bytes(row.pages[kind].saturating_mul(page));
            (row.walk == walk).then(|| Holdings {
                anon: bytes(page_kind::ANON),
                file: bytes(page_kind::FILE),
                shmem: bytes(page_kind::SHMEM),
                swap: bytes(page_kind::SWAP),
                processes: row.processes,
                threads: row.threads,
            })
        };
        let users = self.users.iter().filter_map(|(uid, user)| {
            let sum = user.slots.iter().filter_map(|slot| held(*slot)).reduce(|one, other| one + other)?;
            Some((Owner::User(*uid), sum))
        });
        let others = [(Owner::Kernel, KERNEL_SLOT), (Owner::Overflow, OVERFLOW_SLOT)];
        let others = others.into_iter().filter_map(|(owner, slot)| Some((owner, held(slot)?)));
        Census { taken, rows: users.chain(others).collect() }
    }

    /// Slots that nobody owns.
    pub(super) fn free(&self) -> usize {
        self.owners.iter().skip(FIRST_USER_SLOT as usize).filter(|entry| owner(**entry).is_none()).count()
    }

    /// Whether any slot waits for [`SlotTable::release`].
    pub(super) fn has_detached(&self) -> bool {
        self.slots.iter().any(|slot| slot.detached)
    }

    /// After walk number `walk`: the slots, with their owners, whose users have been without a task for more than `patience`
    /// walks. Once such a user is removed from the table in the kernel, so that nobody finds his slot any more, it is to be
    /// [`SlotTable::detach`]ed.
    pub(super) fn unused(&mut self, banks: &Banks, walk: u64, patience: u32) -> Vec<(u32, Uid)> {
        let mut gone = Vec::new();
        for (number, (slot, entry)) in
            (0_u32..).zip(self.slots.iter_mut().zip(&self.owners)).skip(FIRST_USER_SLOT as usize)
        {
            let Some(uid) = owner(*entry).filter(|_| !slot.detached) else {
                continue;
            };
            let used = banks.seen.load(number as usize) == walk;
            slot.unused_walks = if used { 0 } else { slot.unused_walks.saturating_add(1) };
            if slot.unused_walks > patience {
                gone.push((number, Uid(uid)));
            }
        }
        gone
    }

    /// Nobody finds `slot` any more, but ledgers may still have it.
    pub(super) fn detach(&mut self, slot: u32) {
        self.slots[slot as usize].detached = true;
    }

    /// After a walk, number `walk`, that began when no program which might have found a detached slot was still running: the
    /// detached slots that no ledger has. Their counts are now final and become their users' past; they are free.
    pub(super) fn release(&mut self, banks: &Banks, walk: u64) -> Vec<u32> {
        let mut free = Vec::new();
        for number in FIRST_USER_SLOT..banks.slots {
            let index = number as usize;
            if !self.slots[index].detached || banks.seen.load(index) == walk {
                continue;
            }
            let counted = self.tally(banks, number);
            if let Some(user) = owner(self.owners[index]).and_then(|uid| self.users.get_mut(&Uid(uid))) {
                match &mut user.past {
                    Some(past) => past.add(&counted),
                    None => user.past = Some(Box::new(counted)),
                }
                user.slots.retain(|slot| *slot != number);
            }
            let slot = &mut self.slots[index];
            match &mut slot.former {
                Some(former) => former.add(&counted),
                None => slot.former = Some(Box::new(counted)),
            }
            slot.detached = false;
            slot.unused_walks = 0;
            self.owners[index] = 0;
            free.push(number);
        }
        free
    }

    /// Drops a user and all that he did, unless he has a slot.
    pub(super) fn forget(&mut self, uid: Uid) -> bool {
        let without_slot = self.users.get(&uid).is_some_and(|user| user.slots.is_empty());
        without_slot && self.users.remove(&uid).is_some()
    }
}

fn of_slot(slots: &mut [Slot], banks: &Banks, number: u32) -> Tally {
    let slot = &mut slots[number as usize];
    let mut tally = Tally { counters: slot.sum(banks, number), events: banks.events.load(number as usize) };
    if let Some(former) = &slot.former {
        tally.subtract(former);
    }
    tally
}

impl Slot {
    /// The row's sum over CPUs, added up anew only if the row has changed.
    fn sum(&mut self, banks: &Banks, number: u32) -> UidCounters {
        let changed = banks.note_changes(number, &mut self.marks);
        match &mut self.sum {
            Some(sum) if !changed => **sum,
            stale => **stale.insert(Box::new(banks.sum(number))),
        }
    }
}
