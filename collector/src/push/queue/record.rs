//! One request as it lies in a segment: a header of fixed size, then the body as it will be sent.
//!
//! | bytes | what, all little-endian |
//! |---|---|
//! | 0–3 | length of the body |
//! | 4–7 | samples in it |
//! | 8–15 | their timestamp, in milliseconds since 1970 |
//! | 16 | protocol: its index in [`PushProtocol::ALL`] |
//! | 17–19 | zero |
//! | 20–23 | CRC-32 of the body |
//! | 24–27 | CRC-32 of the 24 bytes before |
//!
//! The header has a checksum of its own, so that a length is never believed that nobody has written.

use crate::config::PushProtocol;

/// Bytes of a header.
pub(super) const HEADER: usize = 28;
/// Bytes of the header that its checksum covers.
const COVERED: usize = 24;
/// No body is longer: what says so is damaged.
const MOST_BODY: usize = 1 << 20;

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::push) struct Record {
    /// How the body is written.
    pub(in crate::push) protocol: PushProtocol,
    /// Samples in the body, native histograms and markers included.
    pub(in crate::push) samples: u32,
    /// Of all samples, in milliseconds since 1970.
    pub(in crate::push) timestamp: i64,
    /// Compressed, ready to be sent.
    pub(in crate::push) body: Vec<u8>,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) samples: u32,
    pub(super) timestamp: i64,
    pub(super) protocol: PushProtocol,
    checksum: u32,
}

impl Record {
    /// Header and body; `None` for a body that is too long.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.body.len()).ok().filter(|_| self.body.len() <= MOST_BODY)?;
        let mut out = Vec::with_capacity(HEADER + self.body.len());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        out.extend_from_slice(&[self.protocol as u8, 0, 0, 0]);
        out.extend_from_slice(&crc32fast::hash(&self.body).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.extend_from_slice(&self.body);
        Some(out)
    }

    /// Bytes of header and body.
    pub(super) fn whole(&self) -> u64 {
        (HEADER + self.body.len()) as u64
    }
}

impl Header {
    /// `None` if this is no header.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let checksum = u32::from_le_bytes(field(bytes, COVERED)?);
        if checksum != crc32fast::hash(bytes.get(..COVERED)?) {
            return None;
        }
        let [protocol, zeros @ ..] = field::<4>(bytes, 16)?;
        let length = u32::from_le_bytes(field(bytes, 0)?);
        let header = Self {
            length,
            samples: u32::from_le_bytes(field(bytes, 4)?),
            timestamp: i64::from_le_bytes(field(bytes, 8)?),
            protocol: *PushProtocol::ALL.get(usize::from(protocol))?,
            checksum: u32::from_le_bytes(field(bytes, 20)?),
        };
        (zeros == [0; 3] && length as usize <= MOST_BODY).then_some(header)
    }

    /// Bytes of header and body.
    pub(super) fn whole(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }

    /// The record; `None` if this is not its body.
    pub(super) fn with(self, body: Vec<u8>) -> Option<Record> {
        let Self { samples, timestamp, protocol, .. } = self;
        let intact = body.len() == self.length as usize && crc32fast::hash(&body) == self.checksum;
        intact.then_some(Record { protocol, samples, timestamp, body })
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::{any, prop_assert, prop_assert_eq, proptest},
        test_runner::Config,
    };

    use super::{HEADER, Header, MOST_BODY, PushProtocol, Record};

    fn record(body: Vec<u8>, second: bool) -> Record {
        let protocol = if second { PushProtocol::V2 } else { PushProtocol::V1 };
        Record { protocol, samples: 7, timestamp: 1_700_000_000_123, body }
    }

    #[test]
    fn a_body_that_is_too_long_is_not_written() {
        assert!(record(vec![0; MOST_BODY], false).encode().is_some());
        assert!(record(vec![0; MOST_BODY + 1], false).encode().is_none());
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn a_record_reads_back_as_itself(body in any::<Vec<u8>>(), second in any::<bool>()) {
            let record = record(body, second);
            let bytes = record.encode().unwrap_or_default();
            let (header, body) = bytes.split_first_chunk::<HEADER>().unwrap_or((&[0; HEADER], &[]));
            let header = Header::decode(header);
            prop_assert_eq!(header.map(|header| header.whole()), Some(bytes.len() as u64));
            prop_assert_eq!(header.and_then(|header| header.with(body.to_vec())), Some(record));
        }

        #[test]
        fn no_bit_can_change_unseen(body in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = record(body, true).encode().unwrap_or_default();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let (header, body) = bytes.split_first_chunk::<HEADER>().unwrap_or((&[0; HEADER], &[]));
            prop_assert!(Header::decode(header).and_then(|header| header.with(body.to_vec())).is_none());
        }

        #[test]
        fn what_nobody_wrote_is_no_header(bytes in any::<[u8; HEADER]>()) {
            prop_assert!(Header::decode(&bytes).is_none());
        }
    }

    use proptest::prelude::prop;
}
