//! Memory that the start took, and that nobody needs afterwards.

use std::{ffi::c_void, fs, ptr::NonNull};

use nix::sys::mman::{MmapAdvise, madvise};

/// Gives freed memory back to the system. After loading that is some tens of megabytes of parsed type information.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no preconditions (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of this program's code: most of what runs at the start, such as the loader of kernel programs, never runs again. What
/// does comes back from the file, page by page.
pub fn let_go_of_code() {
    let (Ok(program), Ok(maps)) = (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/maps")) else {
        // It only costs memory.
        return;
    };
    for (start, length) in code(&maps, &program.to_string_lossy()) {
        // SAFETY: pages that are mapped from a file and were never writable come back as they were (madvise(2)).
        let _ = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
    }
}

/// Where `program` is mapped for execution alone, and how long, by `maps` (`proc_pid_maps(5)`).
fn code(maps: &str, program: &str) -> Vec<(NonNull<c_void>, usize)> {
    let places = maps.lines().filter_map(|line| {
        let mut words = line.splitn(6, ' ');
        let (range, permissions) = (words.next()?, words.next()?);
        let path = words.nth(3)?.trim_start();
        if permissions != "r-xp" || path != program {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        Some((NonNull::new(std::ptr::with_exposed_provenance_mut(start))?, end.checked_sub(start)?))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn only_the_programs_own_code_counts() {
        let maps = "\
            55d0c0000000-55d0c0200000 r--p 00000000 fe:01 1234                       /usr/bin/a program\n\
            55d0c0200000-55d0c0a00000 r-xp 00200000 fe:01 1234                       /usr/bin/a program\n\
            55d0c0a00000-55d0c0a10000 rw-p 00a00000 fe:01 1234                       /usr/bin/a program\n\
            7f0000000000-7f0000100000 r-xp 00000000 fe:01 99                         /usr/lib/libc.so.6\n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n\
            7fff00000000-7fff00001000 r-xp 00000000 00:00 0                          [vdso]\n\
            nonsense\n";
        let found: Vec<_> =
            code(maps, "/usr/bin/a program").into_iter().map(|(at, length)| (at.addr().get(), length)).collect();
        assert_eq!(found, [(0x55d0_c020_0000, 0x80_0000)]);
        assert!(code(maps, "").is_empty());
    }
}
