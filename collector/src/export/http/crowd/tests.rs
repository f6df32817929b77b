//! Who has to leave.

use std::net::IpAddr;

use tokio::time::{Duration, Instant, advance};

use super::{super::track::Open, Arc, Crowd, Origin, Place, Places, Track};

const PLACES: Places = Places { connections: 6, kept: 1000 };

struct Guest {
    track: Arc<Track>,
    place: Place,
}

fn enter(crowd: &Arc<Crowd>, origin: Origin) -> Guest {
    let track = Arc::new(Track::new(Instant::now()));
    Guest { place: crowd.enter(origin, Arc::clone(&track)), track }
}

fn prove(guest: &Guest) {
    guest.track.prove(None);
    drop(Open::new(&guest.track, Instant::now()));
}

fn is_in(guest: &Guest) -> bool {
    guest.place.crowd.members().present.contains_key(&guest.place.number)
}

const ONE: Origin = Origin::V4([1; 4]);
const OTHER: Origin = Origin::V4([2; 4]);

#[test]
fn an_origin_is_an_address_or_the_part_of_it_that_one_host_owns() -> Result<(), std::net::AddrParseError> {
    let origin = |text: &str| Ok::<_, std::net::AddrParseError>(Origin::from(text.parse::<IpAddr>()?));
    assert_eq!(origin("::ffff:10.0.0.1")?, origin("10.0.0.1")?);
    assert_ne!(origin("10.0.0.2")?, origin("10.0.0.1")?);
    assert_eq!(origin("2001:db8::1")?, origin("2001:db8:0:0:ffff::2")?);
    assert_ne!(origin("2001:db8::1")?, origin("2001:db8:0:1::1")?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn when_all_places_are_taken_the_largest_crowd_of_strangers_gives_way_first() {
    let crowd = Crowd::new(PLACES);
    let (first, idle, idle_longer) = (enter(&crowd, OTHER), enter(&crowd, OTHER), enter(&crowd, OTHER));
    prove(&idle_longer);
    advance(Duration::from_secs(1)).await;
    prove(&idle);
    let (a, b) = (enter(&crowd, ONE), enter(&crowd, ONE));
    let busy = enter(&crowd, ONE);
    busy.track.prove(None);
    let _open = Open::new(&busy.track, Instant::now());
    let mut went = Vec::new();
    for step in 0..5 {
        assert!(crowd.make_room(), "{step}");
        went.push([&first, &idle, &idle_longer, &a, &b, &busy].map(is_in).iter().filter(|is_in| !**is_in).count());
        // Somebody comes who will not leave.
        let guest = enter(&crowd, Origin::User(Some(step)));
        guest.track.prove(None);
        std::mem::forget((Open::new(&guest.track, Instant::now()), guest.place));
        match step {
            0 => assert!(!is_in(&a) && is_in(&b)),
            1 => assert!(!is_in(&first) && is_in(&b)),
            2 => assert!(!is_in(&b)),
            3 => assert!(!is_in(&idle_longer) && is_in(&idle)),
            _ => assert!(!is_in(&idle)),
        }
    }
    assert_eq!(went, [1, 2, 3, 4, 5]);
    assert!(!crowd.make_room(), "nobody is idle");
    assert!(is_in(&busy));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_gets_the_one_that_becomes_free() {
    let crowd = Crowd::new(Places { connections: 1, ..PLACES });
    let busy = enter(&crowd, ONE);
    busy.track.prove(None);
    let open = Open::new(&busy.track, Instant::now());
    let waiting = tokio::spawn({
        let crowd = Arc::clone(&crowd);
        async move { crowd.has_room().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop((open, busy));
    assert!(waiting.await.is_ok());
    assert_eq!(crowd.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_reader_gives_way_to_new_answers() {
    let crowd = Crowd::new(PLACES);
    let guests: Vec<_> = (0..3).map(|_| enter(&crowd, ONE)).collect();
    let mut open: Vec<_> = guests.iter().map(|guest| Open::new(&guest.track, Instant::now())).collect();
    for open in &mut open {
        open.progress(Instant::now(), 300);
    }
    advance(Duration::from_secs(1)).await;
    open[0].progress(Instant::now(), 290);
    crowd.keep(110);
    assert!(guests.iter().all(is_in));
    crowd.keep(111);
    assert_eq!(guests.iter().filter(|guest| is_in(guest)).count(), 2);
    crowd.keep(2000);
    assert_eq!(crowd.len(), 0);
}
