//! A reader for BTF, the kernel's description of its own types, as far as field offsets need it.
//!
//! The bytes are not trusted: every access is checked, and a loop among types ends. Layout: Documentation/bpf/btf.rst.

use std::ops::Range;

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
const MEMBER: usize = 12;
const PARAMETER: usize = 8;
/// How deep anonymous members and chains of typedefs may nest.
const DEPTH: u32 = 32;

/// Why bytes are not usable BTF.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BtfError {
    #[error("BTF ends in the middle of {what}, at byte {at}")]
    Truncated { what: &'static str, at: usize },
    #[error("not BTF: it starts with {found:#06x} instead of 0xeb9f")]
    Magic { found: u16 },
    #[error("BTF type {id} is of kind {kind}, which this version of uidmeter does not know")]
    Kind { id: u32, kind: u32 },
    #[error("BTF refers to type {id}, but has only {types}")]
    NoSuchType { id: u32, types: usize },
    #[error("BTF types are nested too deeply at type {id}")]
    Depth { id: u32 },
}

/// Where a member lies in its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// In bytes.
    pub(super) offset: u32,
    /// In bytes; 0 for a bit field.
    pub(super) size: u32,
}

/// Parsed BTF. Keeps an index of types; names and members stay in the bytes.
pub(super) struct Btf<'a> {
    bytes: &'a [u8],
    strings: Range<usize>,
    /// Position of each type, by id; id 0 is `void` and has none.
    types: Vec<usize>,
}

/// `BTF_KIND_*` of include/uapi/linux/btf.h, as far as they are told apart here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Pointer,
    Struct,
    Union,
    Enum,
    Typedef,
    /// `const`, `volatile`, `restrict` and type tags.
    Qualifier,
    FunctionPrototype,
    Other,
}

/// The fixed part of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: Kind,
    /// Number of members or parameters.
    len: usize,
    /// Whether member offsets carry the size of a bit field.
    bit_fields: bool,
    /// Size, or the type that is referred to.
    operand: u32,
    /// Position of what follows the fixed part.
    tail: usize,
}

impl<'a> Btf<'a> {
    /// Indexes the types in `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let magic = u16::from_le_bytes(array(bytes, 0, "the header")?);
        if magic != MAGIC {
            return Err(BtfError::Magic { found: magic });
        }
        let header = u32(bytes, 4, "the header")? as usize;
        let section = |at: usize, what| -> Result<Range<usize>, BtfError> {
            let start = header.saturating_add(u32(bytes, at, "the header")? as usize);
            let end = start.saturating_add(u32(bytes, at + 4, "the header")? as usize);
            if start < HEADER || end > bytes.len() {
                return Err(BtfError::Truncated { what, at: bytes.len() });
            }
            Ok(start..end)
        };
        let types = section(8, "the types")?;
        let strings = section(16, "the strings")?;
        let mut btf = Self { bytes, strings, types: vec![usize::MAX] };
        let mut at = types.start;
        while at < types.end {
            btf.types.push(at);
            at = btf.end_of_type(at)?;
        }
        if at != types.end {
            return Err(BtfError::Truncated { what: "a type", at: types.end });
        }
        Ok(btf)
    }

    /// A member of a structure, through nested and anonymous ones. `None` if there is no such structure or member.
    pub(super) fn member(&self, root: &str, path: &[&str]) -> Result<Option<Member>, BtfError> {
        let Some(mut id) = self.find(root, Kind::Struct)? else {
            return Ok(None);
        };
        let mut offset: u32 = 0;
        let mut bit_field = false;
        for name in path {
            let Some(found) = self.member_of(id, name, DEPTH)? else {
                return Ok(None);
            };
            offset = offset.saturating_add(found.offset);
            (id, bit_field) = (found.r#type, found.bit_field);
        }
        let size = if bit_field { 0 } else { self.size_of(id)? };
        Ok(Some(Member { offset, size }))
    }

    /// Whether there is a `struct name`.
    pub(super) fn has_struct(&self, name: &str) -> Result<bool, BtfError> {
        Ok(self.find(name, Kind::Struct)?.is_some())
    }

    /// Size of `struct name` in bytes.
    pub(super) fn struct_size(&self, name: &str) -> Result<Option<u32>, BtfError> {
        self.find(name, Kind::Struct)?.map(|id| self.size_of(id)).transpose()
    }

    /// Whether there is such a tracepoint.
    pub(super) fn has_tracepoint(&self, tracepoint: &str) -> Result<bool, BtfError> {
        Ok(self.find(&format!("btf_trace_{tracepoint}"), Kind::Typedef)?.is_some())
    }

    /// Position of the first argument of type `struct name *` of a tracepoint, not counting the probe's private data.
    /// `None` if there is no such tracepoint or argument.
    pub(super) fn tracepoint_argument(&self, tracepoint: &str, name: &str) -> Result<Option<u32>, BtfError> {
        let Some(typedef) = self.find(&format!("btf_trace_{tracepoint}"), Kind::Typedef)? else {
            return Ok(None);
        };
        let pointer = self.type_at(self.resolve(typedef)?)?;
        let prototype = self.type_at(self.resolve(pointer.operand)?)?;
        if prototype.kind != Kind::FunctionPrototype {
            return Ok(None);
        }
        // The first parameter is `void *__data`.
        for (position, i) in (0..).zip(1..prototype.len) {
            let argument = u32(self.bytes, prototype.tail + i * PARAMETER + 4, "a parameter")?;
            if argument != 0 && self.is_pointer_to_struct(argument, name)? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    fn is_pointer_to_struct(&self, id: u32, name: &str) -> Result<bool, BtfError> {
        let argument = self.type_at(self.resolve(id)?)?;
        if argument.kind != Kind::Pointer || argument.operand == 0 {
            return Ok(false);
        }
        let target = self.resolve(argument.operand)?;
        // `void` behind qualifiers has no type to look at.
        if target == 0 {
            return Ok(false);
        }
        let target = self.type_at(target)?;
        Ok(target.kind == Kind::Struct && self.string_is(target.name, name))
    }

    fn find(&self, name: &str, kind: Kind) -> Result<Option<u32>, BtfError> {
        for (id, at) in (0..).zip(&self.types).skip(1) {
            let candidate = self.type_from(*at)?;
            if candidate.kind == kind && self.string_is(candidate.name, name) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn member_of(&self, id: u32, name: &str, depth: u32) -> Result<Option<FoundMember>, BtfError> {
        if depth == 0 {
            return Err(BtfError::Depth { id });
        }
        let outer = self.type_at(self.resolve(id)?)?;
        if !matches!(outer.kind, Kind::Struct | Kind::Union) {
            return Ok(None);
        }
        for i in 0..outer.len {
            let at = outer.tail + i * MEMBER;
            let member_name = u32(self.bytes, at, "a member")?;
            let r#type = u32(self.bytes, at + 4, "a member")?;
            let raw = u32(self.bytes, at + 8, "a member")?;
            let (bits, field_size) = if outer.bit_fields { (raw & 0x00ff_ffff, raw >> 24) } else { (raw, 0) };
            if self.string_is(member_name, name) {
                let bit_field = field_size != 0 || bits % 8 != 0;
                return Ok(Some(FoundMember { r#type, offset: bits / 8, bit_field }));
            }
            if self.string_is(member_name, "")
                && let Some(inner) = self.member_of(r#type, name, depth - 1)?
            {
                return Ok(Some(FoundMember { offset: (bits / 8).saturating_add(inner.offset), ..inner }));
            }
        }
        Ok(None)
    }

    fn size_of(&self, id: u32) -> Result<u32, BtfError> {
        let r#type = self.type_at(self.resolve(id)?)?;
        Ok(match r#type.kind {
            Kind::Pointer => 8,
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum => r#type.operand,
            _ => 0,
        })
    }

    /// Follows typedefs and qualifiers. 0, `void`, is where some of them end.
    fn resolve(&self, mut id: u32) -> Result<u32, BtfError> {
        for _ in 0..DEPTH {
            if id == 0 {
                return Ok(0);
            }
            let r#type = self.type_at(id)?;
            if !matches!(r#type.kind, Kind::Typedef | Kind::Qualifier) {
                return Ok(id);
            }
            id = r#type.operand;
        }
        Err(BtfError::Depth { id })
    }

    fn type_at(&self, id: u32) -> Result<Type, BtfError> {
        match self.types.get(id as usize) {
            Some(&at) if id != 0 => self.type_from(at),
            _ => Err(BtfError::NoSuchType { id, types: self.types.len() }),
        }
    }

    fn type_from(&self, at: usize) -> Result<Type, BtfError> {
        let info = u32(self.bytes, at + 4, "a type")?;
        let kind = match kind_number(info) {
            1 => Kind::Int,
            2 => Kind::Pointer,
            4 => Kind::Struct,
            5 => Kind::Union,
            6 | 19 => Kind::Enum,
            8 => Kind::Typedef,
            9..=11 | 18 => Kind::Qualifier,
            13 => Kind::FunctionPrototype,
            _ => Kind::Other,
        };
        Ok(Type {
            name: u32(self.bytes, at, "a type")?,
            kind,
            len: (info & 0xffff) as usize,
            bit_fields: info >> 31 == 1,
            operand: u32(self.bytes, at + 8, "a type")?,
            tail: at + 12,
        })
    }

    fn end_of_type(&self, at: usize) -> Result<usize, BtfError> {
        let r#type = self.type_from(at)?;
        let kind = kind_number(u32(self.bytes, at + 4, "a type")?);
        let tail = match kind {
            // int, variable, declaration tag
            1 | 14 | 17 => 4,
            // pointer, forward, typedef, qualifiers, function, float, type tag
            2 | 7..=12 | 16 | 18 => 0,
            // array
            3 => 12,
            // structure, union, data section, 64-bit enumeration
            4 | 5 | 15 | 19 => r#type.len * 12,
            // enumeration, function prototype
            6 | 13 => r#type.len * 8,
            _ => {
                let id = u32::try_from(self.types.len() - 1).unwrap_or(u32::MAX);
                return Err(BtfError::Kind { id, kind });
            }
        };
        Ok(r#type.tail + tail)
    }

    fn string_is(&self, offset: u32, expected: &str) -> bool {
        let start = self.strings.start.saturating_add(offset as usize);
        let end = start.saturating_add(expected.len());
        end < self.strings.end && &self.bytes[start..end] == expected.as_bytes() && self.bytes[end] == 0
    }
}

struct FoundMember {
    r#type: u32,
    offset: u32,
    bit_field: bool,
}

fn kind_number(info: u32) -> u32 {
    info >> 24 & 0x1f
}

fn u32(bytes: &[u8], at: usize, what: &'static str) -> Result<u32, BtfError> {
    array(bytes, at, what).map(u32::from_le_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize, what: &'static str) -> Result<[u8; N], BtfError> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(BtfError::Truncated { what, at: bytes.len() })
}

#[cfg(test)]
mod tests;
