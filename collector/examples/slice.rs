//! x
#![allow(clippy::all)]
use collector::{source::{Source, ebpf::*}, snapshot::*, units::*};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for c in check_host("/sys/kernel/btf/vmlinux".as_ref()) { println!("{c:?}"); }
    let mut s = EbpfSource::load(&Options{ btf: "/sys/kernel/btf/vmlinux".into(), max_users: 4096, kernel_memory: Bytes(64<<20), tick: std::time::Duration::from_millis(100)})?;
    println!("{:#?} {:?}", s.probes(), s.kernel_memory());
    let mut snap = Snapshot::default();
    for _ in 0..3 { std::thread::sleep(std::time::Duration::from_millis(500)); let t=std::time::Instant::now(); s.read(&mut snap); println!("read {:?}", t.elapsed());
    for r in &snap.rows { let c=&r.counters; println!("{:?} cpu {:?} u {:?} s {:?} wait {:?} n {} p50 {:?} p99 {:?} v {} i {} m {} min {} maj {}", r.owner, c.cpu.0, c.user.0,c.system.0,c.wait.0,c.latency.count(), c.latency.quantile(0.5), c.latency.quantile(0.99), c.voluntary_switches, c.involuntary_switches,c.migrations,c.minor_faults,c.major_faults); }
    println!("{:?}", snap.unattributed); }
    println!("{}", std::fs::read_to_string("/proc/self/status")?.lines().filter(|l| l.starts_with("VmRSS")||l.starts_with("VmHWM")).collect::<Vec<_>>().join(" "));
    Ok(())
}
