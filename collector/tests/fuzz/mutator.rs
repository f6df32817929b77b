//! Offspring of a corpus: pieces cut, doubled, exchanged and spoilt. The same seed yields the same inputs.

use std::{error::Error, fs, path::Path};

/// What parsers trip over.
const DICTIONARY: [&[u8]; 40] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"\xf0\x9f\x90\x9f",
    b"\xe2\x80\xae",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b":",
    b",",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!binary ",
    b"|",
    b">",
    b"---\n",
    b"...\n",
    b"# ",
    b"null",
    b"true",
    b"1e300",
    b"-1",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"[[",
    b"'''",
    b"\"\"\"",
    b"none",
    b"0.5",
    b"=",
];

pub(crate) struct Mutator {
    corpus: Vec<Vec<u8>>,
    state: u64,
    longest: usize,
}

impl Mutator {
    pub(crate) fn from_corpus(folder: &Path, seed: u64, longest: usize) -> Result<Self, Box<dyn Error>> {
        let mut paths =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
        paths.sort();
        let corpus = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        if corpus.is_empty() {
            return Err(format!("{} is empty", folder.display()).into());
        }
        Ok(Self { corpus, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, longest })
    }

    /// Up to eight changes of one member; sometimes none at all.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let member = self.below(self.corpus.len());
        let mut bytes = self.corpus[member].clone();
        for _ in 0..self.below(9) {
            self.change(&mut bytes);
        }
        bytes.truncate(self.longest);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(32)).min(bytes.len());
        match self.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => {
                let word = DICTIONARY[self.below(DICTIONARY.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            3 => {
                let piece = bytes[at.min(end)..end].to_vec();
                let times = 1 << self.below(7);
                bytes.splice(at..at, piece.repeat(times));
            }
            4 => {
                let member = self.below(self.corpus.len());
                let other = self.corpus[member].clone();
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                bytes.splice(at.min(end)..end, other[from..to].iter().copied());
            }
            5 => {
                let byte = self.random().to_le_bytes()[0];
                bytes.insert(at, byte);
            }
            6 if at < bytes.len() => bytes[at] = self.random().to_le_bytes()[0],
            7 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => bytes[at.min(end)..end].reverse(),
        }
        // Doubling again and again must not fill the memory.
        bytes.truncate(2 * self.longest);
    }

    /// xorshift64* (Vigna 2016): a parser is no match for better randomness.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.random() >> 33) % (bound.max(1) as u64)).unwrap_or(0)
    }
}
