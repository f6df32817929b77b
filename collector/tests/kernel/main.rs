//! Tests on a real kernel, as root: what uidmeter tells is held against what the kernel itself tells.
//!
//! The same executable serves as the load: called with `--workload`, it does the work of one test user. Load runs under
//! UIDs of its own (20000 and up) in a cgroup of its own, and ends by itself.

mod churn;
mod daemon;
mod exact;
mod holdings;
mod io;
mod lifecycle;
mod limited;
mod machine;
mod memory;
mod oracle;
mod refusal;
mod resolution;
mod slice;
mod slots;
#[path = "../support/daemon.rs"]
mod support;
mod user;
mod workload;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A test.
type Test = fn() -> Outcome;
/// What it returns.
type Outcome = Result<(), libtest_mimic::Failed>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--workload") {
        return workload::run(&arguments.collect::<Vec<_>>());
    }
    let tests: &[(&str, Test)] = &[
        ("cpu_time_of_a_fork_storm_is_exact", exact::fork_storm),
        ("cpu_time_of_threads_is_exact", exact::threads),
        ("cpu_time_of_a_hog_is_exact_up_to_one_tick", exact::hog),
        ("cpu_time_is_kept_when_a_process_changes_its_user", exact::change_of_user),
        ("run_queue_wait_is_that_of_schedstat_even_under_migration", exact::run_queue_wait),
        ("faults_and_switches_are_those_of_getrusage", exact::faults_and_switches),
        ("user_and_system_time_add_up_and_follow_the_load", exact::modes),
        ("the_whole_host_adds_up_and_the_idle_task_is_nobody", exact::whole_host),
        ("a_task_whose_ledger_came_late_is_charged_from_its_birth", exact::late_ledger),
        ("a_hog_that_never_sleeps_shows_within_two_ticks", resolution::hog),
        ("a_burst_is_visible_in_the_tick_that_contains_it", resolution::burst),
        ("users_who_come_and_go_by_the_thousands_lose_nothing", churn::all_are_counted),
        ("slots_are_taken_back_and_nobody_inherits", slots::recycling),
        ("a_user_who_is_gone_can_be_forgotten", slots::forgetting),
        ("bytes_read_and_written_are_those_of_proc_io", io::bytes),
        ("block_io_delay_is_that_of_proc_stat", io::delay),
        ("forks_threads_execs_and_exits_are_counted", lifecycle::counts),
        ("a_thread_that_executes_does_not_end_its_process", lifecycle::thread_executes),
        ("resident_memory_is_that_of_proc_status_and_counts_once", holdings::resident),
        ("work_outside_the_users_slice_is_told", slice::outside),
        ("reclaim_in_a_cgroup_is_charged_to_its_user", memory::group_reclaim),
        ("a_user_killed_for_his_cgroups_memory_shows_one_kill", memory::group_kill),
        ("the_daemon_serves_exact_figures_and_ends_within_a_second", daemon::serves_and_ends),
        ("the_daemon_is_small", daemon::is_small),
        ("the_daemon_gives_up_its_privileges", daemon::gives_up_privileges),
        ("a_probe_that_fails_alone_does_not_stop_the_rest", daemon::goes_on_without_one_probe),
        ("an_ordinary_user_is_told_what_is_missing", refusal::ordinary_user),
        ("missing_type_information_is_refused", refusal::no_btf),
        ("damaged_type_information_is_refused", refusal::damaged_btf),
        ("a_missing_tracepoint_is_refused", refusal::missing_tracepoint),
        ("a_taken_port_is_refused_and_leaves_nothing_attached", refusal::taken_port),
        ("wrong_flags_are_refused_in_one_line", refusal::wrong_flags),
    ];
    let of_machine: &[(&str, Test)] = &[
        ("a_cpu_that_goes_and_comes_back_loses_nothing_and_gets_its_tick", machine::hotplug),
        ("a_machine_out_of_memory_shows_who_freed_some_and_who_was_killed", machine::out_of_memory),
    ];
    let of_machine = if machine::is_ours() { of_machine } else { &[] };
    let trials = tests.iter().chain(of_machine).map(|(name, test)| Trial::test(*name, *test)).collect();
    let mut arguments = Arguments::from_args();
    // Tests measure the machine that they share.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}
