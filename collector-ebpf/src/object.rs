//! Kernel structures behind pointers that the verifier knows by their BTF type: one load a field, no helper call. The kernel
//! answers a load through such a pointer with zero where the memory is not there any more.

use collector_ebpf::fields::{ABSENT, Field};

use crate::settings::offset;

/// A typed pointer; null is possible.
#[derive(Clone, Copy)]
pub struct Object(*const u8);

impl Object {
    /// # Safety
    /// `object` comes from the kernel (an argument, a helper, a load through another `Object`), so that the verifier tracks
    /// its type.
    #[inline(always)]
    pub unsafe fn from_kernel(object: *const u8) -> Self {
        Self(object)
    }

    /// The pointer, for helpers.
    #[inline(always)]
    pub fn as_ptr(self) -> *const u8 {
        self.0
    }

    /// A field that every supported kernel has.
    #[inline(always)]
    pub fn required<T: Copy>(self, field: Field) -> T {
        // SAFETY: the verifier accepts the load only inside the structure and within one member.
        unsafe { *self.0.add(offset(field) as usize).cast::<T>() }
    }

    /// A counter; zero if this kernel does not keep it.
    #[inline(always)]
    pub fn counter(self, field: Field) -> u64 {
        match offset(field) {
            ABSENT => 0,
            // SAFETY: as in `required`.
            offset => unsafe { *self.0.add(offset as usize).cast::<u64>() },
        }
    }

    /// The object that a field points to. `None` for null, and where the kernel has no such field.
    #[inline(always)]
    pub fn follow(self, field: Field) -> Option<Self> {
        match offset(field) {
            ABSENT => None,
            offset => {
                // SAFETY: as in `required`.
                let target = unsafe { *self.0.add(offset as usize).cast::<*const u8>() };
                if target.is_null() { None } else { Some(Self(target)) }
            }
        }
    }
}
