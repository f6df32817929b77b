//! Protobuf's wire format (protobuf.dev/programming-guides/encoding): varints and tagged fields, appended.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

/// Appends a varint.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of `value` as a varint.
#[inline]
pub(crate) const fn varint_length(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Small numbers of either sign as small numbers: the form of `sint32` and `sint64`.
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn tag(number: u32, kind: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | kind), out);
}

/// An integer, by its varint.
#[inline]
pub(crate) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, VARINT, out);
    varint(value, out);
}

/// Bytes of a floating-point number in one of the first fifteen fields.
pub(crate) const DOUBLE_LENGTH: usize = 9;

/// A floating-point number.
#[inline]
pub(crate) fn double(field: u32, value: f64, out: &mut Vec<u8>) {
    tag(field, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// What stands before a message of `length` bytes.
#[inline]
pub(crate) fn open(field: u32, length: usize, out: &mut Vec<u8>) {
    tag(field, LENGTH_DELIMITED, out);
    varint(length as u64, out);
}

/// A message, or numbers packed.
#[inline]
pub(crate) fn message(field: u32, inner: &[u8], out: &mut Vec<u8>) {
    open(field, inner.len(), out);
    out.extend_from_slice(inner);
}

/// Bytes that [`message`] appends.
#[inline]
pub(crate) const fn message_length(field: u32, inner: usize) -> usize {
    varint_length((field << 3) as u64) + varint_length(inner as u64) + inner
}

/// A string.
#[inline]
pub(crate) fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    message(field, value.as_bytes(), out);
}
