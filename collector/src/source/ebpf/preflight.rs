//! Looks at the host before anything is loaded: what is there, what is missing, and what to do about it.
//!
//! Reads `/proc`, BTF and, with the privilege for it, asks the kernel which map types it has. Changes nothing.

use std::{fs, io, path::Path};

use aya::{maps::MapType, sys::is_map_supported};

use super::{btf::Btf, load::PROGRAMS, offsets};

/// The oldest kernel with BPF task storage, and the part that has it.
const OLDEST_KERNEL: (u32, u32) = (5, 11);
/// Bits in `CapEff` (include/uapi/linux/capability.h).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// What.
    pub subject: String,
    /// The outcome.
    pub finding: Finding,
}

/// The outcome of a check.
#[derive(Clone, Debug)]
pub enum Finding {
    /// As needed.
    Fine(String),
    /// Not there, but uidmeter works without it.
    Limited(String),
    /// Not there, and uidmeter cannot start.
    Missing(Lacking),
}

/// Why uidmeter cannot start on this host: one sentence with what was found and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// The kernel lacks something.
    #[error("{0}")]
    Host(String),
    /// This process may not do it.
    #[error("{0}")]
    Privilege(String),
    /// The program was built without its kernel part.
    #[error("{0}")]
    Build(String),
}

/// Looks at everything, in the order in which things would fail.
pub fn check_host(btf: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |subject: &str, finding| checks.push(Check { subject: subject.into(), finding });
    check("kernel programs", programs());
    check("kernel version", kernel_version(fs::read_to_string("/proc/sys/kernel/osrelease")));
    let privilege = privilege(fs::read_to_string("/proc/self/status"));
    let privileged = matches!(privilege, Finding::Fine(_));
    check("privilege", privilege);
    if privileged {
        check("task storage", task_storage());
    }
    checks.extend(type_information(btf, fs::read(btf)));
    checks
}

/// Looks at everything; for callers who want to know before they do anything else.
///
/// # Errors
/// The first thing without which uidmeter cannot start.
pub fn require_host(btf: &Path) -> Result<(), Lacking> {
    let missing = check_host(btf).into_iter().find_map(|check| match check.finding {
        Finding::Missing(lacking) => Some(lacking),
        Finding::Fine(_) | Finding::Limited(_) => None,
    });
    missing.map_or(Ok(()), Err)
}

fn programs() -> Finding {
    if PROGRAMS.is_empty() {
        Finding::Missing(Lacking::Build(
            "this uidmeter was built without its kernel programs; build it with `cargo xtask build`".into(),
        ))
    } else {
        Finding::Fine(format!("{} bytes embedded", PROGRAMS.len()))
    }
}

fn kernel_version(release: io::Result<String>) -> Finding {
    let release = match release {
        Ok(release) => release.trim().to_owned(),
        Err(error) => return Finding::Limited(format!("unknown: /proc/sys/kernel/osrelease: {error}")),
    };
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Finding::Limited(format!("unknown: {release:?} does not begin with a version"));
    };
    let (oldest_major, oldest_minor) = OLDEST_KERNEL;
    if (major, minor) >= OLDEST_KERNEL {
        Finding::Fine(format!("{release}, {oldest_major}.{oldest_minor} or newer is needed"))
    } else {
        Finding::Missing(Lacking::Host(format!(
            "Linux {release} is too old: uidmeter keeps its books in BPF task storage, which came with Linux \
             {oldest_major}.{oldest_minor}; boot a newer kernel"
        )))
    }
}

fn privilege(status: io::Result<String>) -> Finding {
    let capabilities = match status {
        Ok(status) => status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()),
        Err(error) => return Finding::Limited(format!("unknown: /proc/self/status: {error}")),
    };
    let Some(capabilities) = capabilities else {
        return Finding::Limited("unknown: /proc/self/status has no CapEff".into());
    };
    let has = |bit: u32| capabilities >> bit & 1 == 1;
    if has(CAP_SYS_ADMIN) {
        Finding::Fine("CAP_SYS_ADMIN".into())
    } else if has(CAP_BPF) && has(CAP_PERFMON) {
        Finding::Fine("CAP_BPF and CAP_PERFMON".into())
    } else {
        let missing = match (has(CAP_BPF), has(CAP_PERFMON)) {
            (true, _) => "CAP_PERFMON",
            (_, true) => "CAP_BPF",
            _ => "CAP_BPF and CAP_PERFMON",
        };
        Finding::Missing(Lacking::Privilege(format!(
            "loading kernel programs needs root or CAP_BPF and CAP_PERFMON, and this process (UID {}) lacks {missing}; \
             start it as root, for example with sudo",
            nix::unistd::geteuid()
        )))
    }
}

fn task_storage() -> Finding {
    match is_map_supported(MapType::TaskStorage) {
        Ok(true) => Finding::Fine("supported".into()),
        Ok(false) => Finding::Missing(Lacking::Host(
            "this kernel has no BPF task storage; it needs Linux 5.11 with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF"
                .into(),
        )),
        Err(error) => Finding::Limited(format!("unknown: {error}")),
    }
}

/// Everything that BTF tells: fields, tracepoints, the task iterator.
fn type_information(path: &Path, bytes: io::Result<Vec<u8>>) -> Vec<Check> {
    let one = |finding| vec![Check { subject: "type information".into(), finding }];
    let missing = |sentence: String| one(Finding::Missing(Lacking::Host(sentence)));
    let path = path.display();
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            return missing(format!(
                "cannot read the kernel's type information (BTF) from {path}: {error}; use a kernel built with \
                 CONFIG_DEBUG_INFO_BTF=y, or name a file that has it with --btf"
            ));
        }
    };
    let btf = match Btf::parse(&bytes) {
        Ok(btf) => btf,
        Err(error) => {
            return missing(format!("{path} is not usable as type information: {error}; name another file with --btf"));
        }
    };
    let mut checks = one(Finding::Fine(format!("{path}, {} bytes", bytes.len())));
    checks.push(Check { subject: "kernel fields".into(), finding: fields(&btf) });
    for (name, needed) in [("sched_switch", true), ("task_newtask", false)] {
        let finding = match btf.has_tracepoint(name) {
            Ok(true) => Finding::Fine("present".into()),
            Ok(false) if needed => Finding::Missing(Lacking::Host(format!(
                "this kernel has no tracepoint {name}, from which all figures come; use a kernel built with CONFIG_TRACEPOINTS=y"
            ))),
            Ok(false) => Finding::Limited("absent: new tasks are found late, and short-lived ones not at all".into()),
            Err(error) => Finding::Missing(Lacking::Host(format!("{path}: {error}; name another file with --btf"))),
        };
        checks.push(Check { subject: format!("tracepoint {name}"), finding });
    }
    let iterator = match btf.has_struct("bpf_iter__task") {
        Ok(true) => Finding::Fine("present".into()),
        _ => Finding::Limited("absent: tasks that run already are not counted".into()),
    };
    checks.push(Check { subject: "task iterator".into(), finding: iterator });
    checks
}

fn fields(btf: &Btf<'_>) -> Finding {
    match offsets::offsets(btf) {
        Ok((offsets, lacking)) if lacking.is_empty() => Finding::Fine(format!("all {} found", offsets.len())),
        Ok((_, lacking)) => {
            let names: Vec<_> = lacking.into_iter().map(offsets::name).collect();
            Finding::Limited(format!("without {}: what they count stays zero", names.join(", ")))
        }
        Err(error) => {
            Finding::Missing(Lacking::Host(format!("{error}; this version of uidmeter does not fit this kernel")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Lacking, kernel_version, privilege, type_information};
    use std::{io, path::Path};

    #[test]
    fn a_kernel_before_5_11_is_refused_with_both_versions_named() {
        for (release, fine) in
            [("5.10.0-46-cloud-amd64\n", false), ("5.11.0", true), ("6.1.0-9", true), ("4.18.0-553.el8", false)]
        {
            match kernel_version(Ok(release.into())) {
                Finding::Fine(_) => assert!(fine, "{release}"),
                Finding::Missing(Lacking::Host(why)) => {
                    assert!(!fine && why.contains(release.trim()) && why.contains("5.11"), "{why}");
                }
                other => panic!("{release}: {other:?}"),
            }
        }
    }

    #[test]
    fn both_capabilities_are_enough_and_one_is_not() {
        let finding = |bits: u64| privilege(Ok(format!("Name:\tx\nCapEff:\t{bits:016x}\n")));
        assert!(matches!(finding(1 << 38 | 1 << 39), Finding::Fine(_)));
        assert!(matches!(finding(1 << 21), Finding::Fine(_)));
        let Finding::Missing(Lacking::Privilege(why)) = finding(1 << 39) else {
            panic!("one capability was taken for two");
        };
        assert!(why.contains("lacks CAP_PERFMON;"), "{why}");
        assert!(matches!(finding(0), Finding::Missing(Lacking::Privilege(_))));
    }

    #[test]
    fn missing_type_information_names_the_path_and_the_remedy() {
        let checks = type_information(Path::new("/no/btf"), Err(io::ErrorKind::NotFound.into()));
        let Some(Finding::Missing(Lacking::Host(why))) = checks.first().map(|check| &check.finding) else {
            panic!("{checks:?}");
        };
        assert!(why.contains("/no/btf") && why.contains("CONFIG_DEBUG_INFO_BTF") && why.contains("--btf"), "{why}");
    }
}
