//! `uidmeter top`: a plain table of users by CPU, refreshed. Loads the kernel programs itself.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use collector::{
    config::{Observe, Probes},
    pipeline,
    rates::{UserUsage, usage},
    snapshot::Snapshot,
    source::Source as _,
    units::Nanos,
    users::Users,
    view::View,
};

use crate::{cli::TopOptions, failure::Failure};

/// How quickly an interrupt ends the pause between two tables.
const NAP: Duration = Duration::from_millis(50);

/// Shows tables until interrupted.
pub(crate) fn run(observe: &Observe, options: &TopOptions) -> Result<(), Failure> {
    let mut source = pipeline::load_source(observe, Probes::default())?;
    let mut users = Users::from_system()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut out = io::stdout().lock();
    let clear = out.is_terminal();
    let (mut before, mut after) = (Snapshot::default(), Snapshot::default());
    source.read(&mut before);
    let mut shown = 0;
    while options.tables == 0 || shown < options.tables {
        if pause(options.interval, &stop) {
            break;
        }
        source.read(&mut after);
        let names = users.names_within(after.users(), Instant::now(), NAP);
        let view = View { names, ..View::default() };
        let usage = usage(&before, &after).unwrap_or_default();
        let text = table(&view, usage.rows, options.users);
        let home = if clear { "\x1b[H\x1b[2J" } else { "" };
        match write!(out, "{home}{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
        std::mem::swap(&mut before, &mut after);
        shown += 1;
    }
    Ok(())
}

/// Waits; tells whether it was interrupted.
fn pause(time: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    loop {
        if stop.load(Ordering::Relaxed) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(NAP));
    }
}

/// The busiest users first.
fn table(view: &View, mut rows: Vec<UserUsage>, users: usize) -> String {
    rows.retain(|row| row.cpu.0 > 0.0 || row.waiting.0 > 0.0);
    rows.sort_by(|a, b| b.cpu.0.total_cmp(&a.cpu.0));
    let mut text = format!(
        "{:<20} {:>8} {:>8} {:>10} {:>10} {:>12}\n",
        "USER", "CPUS", "WAITING", "WAIT P50", "WAIT P99", "SWITCHES/S"
    );
    for row in rows.iter().take(users) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<20} {:>8.3} {:>8.3} {:>10} {:>10} {:>12.0}",
            printable(&view.user_label(row.owner)),
            row.cpu.0,
            row.waiting.0,
            wait(row.latency.quantile(0.50)),
            wait(row.latency.quantile(0.99)),
            row.switches_per_second,
        );
    }
    text
}

/// A name that cannot move the cursor, cut to its column.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(20).collect()
}

/// Three digits are more than a bucket's width is worth.
fn wait(time: Option<Nanos>) -> String {
    match time {
        None => "-".into(),
        Some(Nanos(ns @ 0..1_000_000)) => format!("{} µs", ns / 1_000),
        Some(time) if time.0 < 1_000_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use collector::{
        rates::UserUsage,
        snapshot::{Latency, Owner},
        units::{Cores, Uid},
        view::View,
    };

    use super::{printable, table};

    fn row(uid: u32, cpu: f64) -> UserUsage {
        let mut latency = Latency::default();
        latency.buckets[44] = 1;
        UserUsage {
            owner: Owner::User(Uid(uid)),
            cpu: Cores(cpu),
            waiting: Cores(0.0),
            latency,
            switches_per_second: 1.0,
        }
    }

    #[test]
    fn the_busiest_user_stands_first_and_idle_ones_are_left_out() {
        let text = table(&View::default(), vec![row(1, 0.5), row(2, 1.5), row(3, 0.0)], 10);
        let users: Vec<_> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(users, ["2", "1"], "{text}");
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a?[2Jb?c");
    }
}
