//! Deadlines, with the clock passed in.

use super::{Arc, Duration, Instant, Open, Patience, Track};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience = Patience {
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(11),
    idle: Duration::from_secs(150),
    stall: Duration::from_secs(30),
    delivery: Duration::from_mins(2),
};

fn asked(now: Instant) -> (Arc<Track>, Open) {
    let track = Arc::new(Track::new(now));
    track.ready(now, false, None);
    let open = Open::new(&track, now);
    (track, open)
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_patience() {
    let start = Instant::now();
    let track = Arc::new(Track::new(start));
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.handshake);
    track.received(start + SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.handshake);
    track.ready(start + 2 * SECOND, false, None);
    // Bytes do not buy time.
    track.received(start + 5 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + 2 * SECOND + PATIENCE.head);
    let open = Open::new(&track, start + 6 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + 6 * SECOND + PATIENCE.stall);
    drop(open);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.idle);
    track.received(start + 20 * SECOND);
    track.received(start + 25 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + 20 * SECOND + PATIENCE.head);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_has_to_take_something_now_and_then_and_all_in_the_end() {
    let start = Instant::now();
    let (track, mut open) = asked(start);
    open.progress(start + SECOND, 1000);
    assert_eq!(track.deadline(&PATIENCE), start + SECOND + PATIENCE.stall);
    for step in 2..200 {
        track.sent(start + step * SECOND);
    }
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.delivery);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_a_stall_even_between_requests() {
    let start = Instant::now();
    let (track, open) = asked(start);
    drop(open);
    track.blocked(start + SECOND);
    track.blocked(start + 9 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + SECOND + PATIENCE.stall);
    track.sent(start + 10 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.idle);
}

#[tokio::test(start_paused = true)]
async fn on_a_multiplexed_connection_neither_bytes_read_nor_bytes_written_count() {
    let start = Instant::now();
    let track = Arc::new(Track::new(start));
    track.ready(start, true, None);
    let open = Open::new(&track, start);
    track.sent(start + 9 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.stall);
    drop(open);
    track.received(start + 9 * SECOND);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.idle);
}

#[tokio::test(start_paused = true)]
async fn nothing_outlives_the_certificate() {
    let start = Instant::now();
    let track = Arc::new(Track::new(start));
    let expires = start + 3 * SECOND;
    track.ready(start, false, Some(expires));
    assert_eq!(track.deadline(&PATIENCE), expires);
    let open = Open::new(&track, start);
    assert_eq!(track.deadline(&PATIENCE), expires);
    drop(open);
    assert_eq!(track.deadline(&PATIENCE), expires);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_the_sum_over_all_answers() {
    let start = Instant::now();
    let (track, mut one) = asked(start);
    let mut other = Open::new(&track, start);
    one.progress(start, 1000);
    other.progress(start, 500);
    one.progress(start, 200);
    assert_eq!((track.standing().kept, track.standing().idle), (700, None));
    drop(other);
    assert_eq!(track.standing().kept, 200);
    drop(one);
    assert_eq!((track.standing().kept, track.standing().idle), (0, Some(start)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_does_not_outlive_its_credential_but_an_answer_may() {
    let start = Instant::now();
    let (track, open) = asked(start);
    track.prove(Some(start + SECOND));
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.stall);
    drop(open);
    assert_eq!(track.deadline(&PATIENCE), start + SECOND);
    track.prove(None);
    assert_eq!(track.deadline(&PATIENCE), start + PATIENCE.idle);
}
