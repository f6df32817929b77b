//! Name services that answer, hang, forget and churn.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{BELIEVED, DOUBTED, Entry, Names, REMEMBERED, SPARE, TIMEOUT, Uid, Users};

/// A name service whose doors can be closed for some users: who asks for those waits until they are opened.
#[derive(Default)]
struct Doors {
    closed: Mutex<Option<HashSet<u32>>>,
    opened: Condvar,
    asked: Mutex<Vec<u32>>,
}

impl Doors {
    fn closed_for(uids: impl IntoIterator<Item = u32>) -> Arc<Self> {
        Arc::new(Self { closed: Mutex::new(Some(uids.into_iter().collect())), ..Self::default() })
    }

    fn open(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.opened.notify_all();
    }

    fn asked(&self) -> Vec<u32> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn users(self: &Arc<Self>) -> io::Result<Users> {
        let doors = Arc::clone(self);
        Users::with_lookup(Box::new(move |Uid(uid)| {
            doors.asked.lock().unwrap_or_else(PoisonError::into_inner).push(uid);
            let closed = doors.closed.lock().unwrap_or_else(PoisonError::into_inner);
            let shut = |closed: &mut Option<HashSet<u32>>| closed.as_ref().is_some_and(|closed| closed.contains(&uid));
            drop(doors.opened.wait_while(closed, shut));
            Some(format!("user{uid}").into())
        }))
    }
}

fn uids(range: std::ops::Range<u32>) -> impl Iterator<Item = Uid> {
    range.map(Uid)
}

fn name(names: &Names, uid: u32) -> Option<&str> {
    names.get(Uid(uid)).map(AsRef::as_ref)
}

/// Asks until `enough` is so.
fn until(users: &mut Users, range: std::ops::Range<u32>, now: Instant, enough: impl Fn(&Names) -> bool) -> Names {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let names = users.names(uids(range.clone()), now);
        if enough(&names) {
            return names;
        }
        assert!(Instant::now() < deadline, "it does not come");
        thread::yield_now();
    }
}

/// Lets all questions be answered.
fn settle(users: &mut Users, range: std::ops::Range<u32>, now: Instant) -> Names {
    loop {
        let names = users.names(uids(range.clone()), now);
        if !users.is_waiting() {
            return names;
        }
        thread::yield_now();
    }
}

#[test]
fn without_threads_whoever_asks_has_the_names_at_once() {
    let asker = thread::current().id();
    let mut users =
        Users::at_once(Box::new(move |uid| (thread::current().id() == asker).then(|| uid.to_string().into())));
    let now = Instant::now();
    assert_eq!(name(&users.names_within(uids(1..3), now, Duration::ZERO), 2), Some("2"));
    // Nobody is hired when a look-up would be overdue.
    users.names(uids(1..4), now + 2 * TIMEOUT);
    assert!(format!("{users:?}").contains("threads: 0"), "{users:?}");
}

#[test]
fn a_name_service_that_hangs_stops_nobody() -> io::Result<()> {
    let doors = Doors::closed_for(0..100);
    let mut users = doors.users()?;
    let now = Instant::now();
    let names = users.names(uids(0..100), now);
    assert!((0..100).all(|uid| name(&names, uid).is_none()));
    doors.open();
    let names = settle(&mut users, 0..100, now);
    assert!((0..100).all(|uid| name(&names, uid) == Some(&format!("user{uid}"))));
    Ok(())
}

#[test]
fn one_user_who_hangs_for_ever_does_not_take_the_names_of_the_others() -> io::Result<()> {
    // As many as there are threads: nobody is left to answer for the others.
    let doors = Doors::closed_for(0..2);
    let mut users = doors.users()?;
    let now = Instant::now();
    until(&mut users, 0..10, now, |_| doors.asked().len() == 2);
    assert!(name(&users.names(uids(0..10), now), 5).is_none());
    let later = Instant::now() + TIMEOUT;
    let names = until(&mut users, 0..10, later, |names| (2..10).all(|uid| name(names, uid).is_some()));
    assert_eq!((name(&names, 0), name(&names, 9)), (None, Some("user9")));
    // Nobody asks twice for who hangs.
    assert_eq!(doors.asked().iter().filter(|uid| **uid < 2).count(), 2);
    doors.open();
    assert_eq!(name(&settle(&mut users, 0..10, later), 0), Some("user0"));
    Ok(())
}

#[test]
fn a_service_that_hangs_for_all_holds_few_threads_and_recovers() -> io::Result<()> {
    let doors = Doors::closed_for(0..1_000);
    let mut users = doors.users()?;
    users.names(uids(0..1_000), Instant::now());
    for threads in [2, 4, 6, 8] {
        // At this moment only those who hang already have done so for long enough.
        let late = Instant::now() + if threads == 2 { Duration::ZERO } else { TIMEOUT };
        until(&mut users, 0..1_000, late, |_| doors.asked().len() == threads);
    }
    for round in 1..100 {
        users.names(uids(0..1_000), Instant::now() + TIMEOUT * round);
    }
    let desk = format!("{:?}", users.desk);
    assert!(desk.contains("line: 992, threads: 8,"), "{desk}");
    doors.open();
    let names = settle(&mut users, 0..1_000, Instant::now());
    assert!((0..1_000).all(|uid| name(&names, uid).is_some()));
    Ok(())
}

#[test]
fn a_scrape_waits_for_answers_that_come_soon_and_for_no_others() -> io::Result<()> {
    let patience = Duration::from_millis(200);
    let mut users = Doors::default_users()?;
    let names = users.names_within(uids(0..1), Instant::now(), Duration::from_secs(20));
    assert_eq!(name(&names, 0), Some("user0"));
    let doors = Doors::closed_for([0]);
    let mut users = doors.users()?;
    users.names_within(uids(0..1), Instant::now(), patience);
    thread::sleep(patience);
    // From now on it is known to be slow.
    let began = Instant::now();
    for _ in 0..100 {
        users.names_within(uids(0..1), Instant::now(), patience);
    }
    assert!(began.elapsed() < patience, "{:?}", began.elapsed());
    doors.open();
    Ok(())
}

impl Doors {
    fn default_users() -> io::Result<Users> {
        Arc::new(Self::default()).users()
    }
}

/// A name service with one entry for everybody, which can be changed.
fn changing(answer: &Arc<Mutex<Option<&'static str>>>) -> io::Result<Users> {
    let answer = Arc::clone(answer);
    Users::with_lookup(Box::new(move |_| answer.lock().unwrap_or_else(PoisonError::into_inner).map(Entry::from)))
}

fn change(answer: &Mutex<Option<&'static str>>, to: Option<&'static str>) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

#[test]
fn a_renamed_user_is_noticed_once_the_answer_is_old() -> io::Result<()> {
    let answer = Arc::new(Mutex::new(Some("ann")));
    let mut users = changing(&answer)?;
    let now = Instant::now();
    assert_eq!(name(&settle(&mut users, 1..2, now), 1), Some("ann"));
    change(&answer, Some("anna"));
    let soon = now + BELIEVED / 2;
    assert_eq!(name(&settle(&mut users, 1..2, soon), 1), Some("ann"));
    assert_eq!(name(&settle(&mut users, 1..2, now + BELIEVED), 1), Some("anna"));
    Ok(())
}

#[test]
fn a_user_who_is_created_late_is_found_soon() -> io::Result<()> {
    let answer = Arc::new(Mutex::new(None));
    let mut users = changing(&answer)?;
    let now = Instant::now();
    assert_eq!(name(&settle(&mut users, 1..2, now), 1), None);
    change(&answer, Some("ann"));
    assert_eq!(name(&settle(&mut users, 1..2, now + DOUBTED / 2), 1), None);
    assert_eq!(name(&settle(&mut users, 1..2, now + DOUBTED), 1), Some("ann"));
    Ok(())
}

#[test]
fn a_user_who_is_deleted_while_alive_keeps_the_name() -> io::Result<()> {
    let answer = Arc::new(Mutex::new(Some("ann")));
    let mut users = changing(&answer)?;
    let now = Instant::now();
    settle(&mut users, 1..2, now);
    change(&answer, None);
    assert_eq!(name(&settle(&mut users, 1..2, now + BELIEVED), 1), Some("ann"));
    // Once gone, the name goes, too: the next owner of the number does not inherit it.
    users.names(uids(5..6), now + BELIEVED + REMEMBERED);
    assert_eq!(name(&settle(&mut users, 1..2, now + BELIEVED + REMEMBERED), 1), None);
    Ok(())
}

#[test]
fn users_who_come_and_go_leave_nothing_behind() -> io::Result<()> {
    let mut users = Doors::default_users()?;
    let start = Instant::now();
    let mut most = 0;
    // 100,000 users, 250 at a time, each round a tick of 100 ms after the last.
    for round in 0..400 {
        let first = round * 250;
        users.names(uids(first..first + 250), start + Duration::from_millis(100) * round);
        most = most.max(users.seen.len());
    }
    assert!(most <= 3 * 250 + SPARE, "{most} users are remembered");
    let end = start + Duration::from_secs(40);
    let names = settle(&mut users, 99_750..100_000, end);
    assert!((99_750..100_000).all(|uid| name(&names, uid).is_some()));
    // And without a crowd, after a while.
    settle(&mut users, 1..2, end + REMEMBERED);
    assert_eq!((users.seen.len(), users.names.0.len()), (1, 1));
    Ok(())
}

#[test]
fn who_comes_is_asked_for_at_once_and_who_stays_is_not_asked_for_again() -> io::Result<()> {
    let doors = Arc::new(Doors::default());
    let mut users = doors.users()?;
    let now = Instant::now();
    settle(&mut users, 1..3, now);
    assert_eq!(name(&settle(&mut users, 2..4, now), 3), Some("user3"));
    assert_eq!(name(&settle(&mut users, 2..5, now), 4), Some("user4"));
    settle(&mut users, 2..4, now + Duration::from_secs(2));
    let mut asked = doors.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4]);
    Ok(())
}

#[test]
fn questions_about_users_who_have_gone_are_not_asked() -> io::Result<()> {
    let doors = Doors::closed_for(0..2);
    let mut users = doors.users()?;
    let now = Instant::now();
    until(&mut users, 0..5_000, now, |_| doors.asked().len() == 2);
    users.names(uids(7_000..7_001), now + REMEMBERED);
    doors.open();
    settle(&mut users, 7_000..7_001, now + REMEMBERED);
    assert!(doors.asked().len() < 20, "{} look-ups", doors.asked().len());
    Ok(())
}

#[test]
fn names_that_are_not_wanted_are_not_looked_up_and_come_back_when_they_are() -> io::Result<()> {
    let doors = Arc::new(Doors::default());
    let mut users = doors.users()?;
    let now = Instant::now();
    assert_eq!(name(&settle(&mut users, 1..2, now), 1), Some("user1"));
    users.configure(false, TIMEOUT);
    assert_eq!(name(&settle(&mut users, 1..3, now), 1), None);
    assert_eq!(doors.asked(), [1]);
    users.configure(true, TIMEOUT);
    assert_eq!(name(&settle(&mut users, 1..3, now), 2), Some("user2"));
    Ok(())
}

#[test]
fn the_system_knows_root_and_nobody_near_the_end_of_the_numbers() -> io::Result<()> {
    let mut users = Users::from_system()?;
    let now = Instant::now();
    let ask = |users: &mut Users| users.names([Uid(0), Uid(u32::MAX - 1), Uid(u32::MAX)].into_iter(), now);
    ask(&mut users);
    while users.is_waiting() {
        ask(&mut users);
    }
    let names = ask(&mut users);
    assert_eq!((name(&names, 0), name(&names, u32::MAX - 1), name(&names, u32::MAX)), (Some("root"), None, None));
    Ok(())
}

#[test]
fn the_system_tells_names_and_groups() -> io::Result<()> {
    let mut users = Users::from_system()?;
    let names = until(&mut users, 0..1, Instant::now(), |names| names.get(Uid(0)).is_some());
    assert_eq!(name(&names, 0), Some("root"));
    assert_eq!(names.groups(Uid(0)).map(|groups| groups.contains(&0)), Some(true));
    assert_eq!(names.groups(Uid(1)), None);
    Ok(())
}
