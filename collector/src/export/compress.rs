//! Pages made small for the way. Fast levels: a page is compressed once and sent within milliseconds, and is so
//! repetitive that the best levels would save little more.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};

use super::negotiate::Encoding;

/// zstd's own fastest ordinary level.
const ZSTD_LEVEL: i32 = 1;
/// Text shrinks to about a seventh, protobuf to less than a fifth; room for a bad case costs less than growing.
const SHRINKS_BY: usize = 5;

/// `page` in `encoding`, or `None` if it stays as it is.
///
/// # Errors
/// The compressor gave up, most likely for want of memory.
pub(super) fn compress(page: &[u8], encoding: Encoding) -> io::Result<Option<Vec<u8>>> {
    match encoding {
        Encoding::Identity => Ok(None),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / SHRINKS_BY), Compression::fast());
            encoder.write_all(page)?;
            encoder.finish().map(Some)
        }
        Encoding::Zstd => zstd::bulk::compress(page, ZSTD_LEVEL).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Encoding, compress};

    #[test]
    fn what_is_compressed_reads_back_and_is_smaller() -> std::io::Result<()> {
        let page = "uidmeter_cpu_seconds_total{uid=\"1000\",user=\"ann\"} 1.5\n".repeat(1_000);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let small = compress(page.as_bytes(), encoding)?.unwrap_or_default();
            assert!(small.len() < page.len() / 20, "{} bytes", small.len());
            let mut read = String::new();
            match encoding {
                Encoding::Gzip => flate2::read::GzDecoder::new(small.as_slice()).read_to_string(&mut read)?,
                _ => zstd::Decoder::new(small.as_slice())?.read_to_string(&mut read)?,
            };
            assert_eq!(read, page);
        }
        Ok(())
    }

    #[test]
    fn identity_stays_as_it_is() {
        assert!(matches!(compress(b"page", Encoding::Identity), Ok(None)));
    }
}
