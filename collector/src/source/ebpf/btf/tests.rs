//! Against BTF made here, piece by piece, and against the running kernel's own where it can be read.

use proptest::prelude::{ProptestConfig, any, proptest};

use super::{Btf, BtfError, Member};

/// Writes BTF type by type.
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Builder {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0] }
    }

    fn words(mut self, words: &[u32]) -> Self {
        self.types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self
    }

    fn name(&mut self, name: &str) -> u32 {
        let at = self.strings.len();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        u32::try_from(at).unwrap_or(0)
    }

    fn build(self) -> Vec<u8> {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        btf.extend(24u32.to_le_bytes());
        btf.extend(0u32.to_le_bytes());
        btf.extend(len(&self.types));
        btf.extend(len(&self.types));
        btf.extend(len(&self.strings));
        btf.extend(self.types);
        btf.extend(self.strings);
        btf
    }
}

/// `struct inner { u64 deep; }`, `struct task { u32 flag:1; struct { struct inner se; }; }` and a tracepoint with it.
fn sample() -> Vec<u8> {
    let mut b = Builder::new();
    let [long, inner, deep, task, flag, se, trace] =
        ["u64", "inner", "deep", "task", "flag", "se", "btf_trace_switch"].map(|name| b.name(name));
    b.words(&[long, 1 << 24, 8, 64]) // 1: int
        .words(&[inner, 4 << 24 | 1, 8, deep, 1, 0]) // 2: struct inner
        .words(&[0, 4 << 24 | 1, 16, se, 2, 64]) // 3: anonymous, se at byte 8
        .words(&[task, 1 << 31 | 4 << 24 | 2, 32, flag, 1, 1 << 24 | 3, 0, 3, 64]) // 4: struct task
        .words(&[0, 2 << 24, 4]) // 5: pointer to it
        .words(&[0, 13 << 24 | 4, 0, 0, 0, 0, 1, 0, 5, 0, 5]) // 6: (void, int, task *, task *)
        .words(&[0, 2 << 24, 6]) // 7: pointer to it
        .words(&[trace, 8 << 24, 7]) // 8: typedef
        .build()
}

#[test]
fn members_are_found_through_anonymous_structures() -> Result<(), BtfError> {
    let bytes = sample();
    let btf = Btf::parse(&bytes)?;
    assert_eq!(btf.member("task", &["se", "deep"])?, Some(Member { offset: 16, size: 8 }));
    assert_eq!(btf.member("task", &["se"])?, Some(Member { offset: 16, size: 8 }));
    assert_eq!(btf.member("task", &["no"])?, None);
    assert_eq!(btf.member("tas", &["se"])?, None);
    Ok(())
}

#[test]
fn a_bit_field_has_no_size_in_bytes() -> Result<(), BtfError> {
    let bytes = sample();
    assert_eq!(Btf::parse(&bytes)?.member("task", &["flag"])?, Some(Member { offset: 0, size: 0 }));
    Ok(())
}

#[test]
fn the_first_task_among_a_tracepoints_arguments_is_found() -> Result<(), BtfError> {
    let bytes = sample();
    let btf = Btf::parse(&bytes)?;
    assert_eq!(btf.tracepoint_argument("switch", "task")?, Some(1));
    assert_eq!(btf.tracepoint_argument("switch", "other")?, None);
    assert_eq!(btf.tracepoint_argument("wakeup", "task")?, None);
    assert!(btf.has_tracepoint("switch")? && !btf.has_tracepoint("wakeup")?);
    Ok(())
}

#[test]
fn damaged_btf_is_refused_by_name() {
    let parse = |bytes: &[u8]| Btf::parse(bytes).err();
    assert_eq!(parse(b"\x7fELF and so on, more than a header"), Some(BtfError::Magic { found: 0x457f }));
    assert!(matches!(parse(&[]), Some(BtfError::Truncated { .. })));
    let mut unknown = sample();
    unknown[24 + 7] = 30;
    assert_eq!(parse(&unknown), Some(BtfError::Kind { id: 1, kind: 30 }));
    for len in 0..sample().len() {
        assert!(parse(&sample()[..len]).is_some(), "cut at {len}");
    }
}

#[test]
fn a_type_that_contains_itself_ends_in_an_error() -> Result<(), BtfError> {
    let mut b = Builder::new();
    let (ring, outer) = (b.name("ring"), b.name("outer"));
    let bytes = b.words(&[ring, 8 << 24, 1]).words(&[outer, 4 << 24 | 1, 8, 0, 2, 0]).build();
    let btf = Btf::parse(&bytes)?;
    assert_eq!(btf.member("outer", &["x"]), Err(BtfError::Depth { id: 2 }));
    assert!(btf.resolve(1).is_err());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let mut bytes = sample();
        if let Some(target) = bytes.get_mut(at) {
            *target = byte;
        }
        bytes.truncate(cut.max(1));
        if let Ok(btf) = Btf::parse(&bytes) {
            let _ = btf.member("task", &["se", "deep"]);
            let _ = btf.tracepoint_argument("switch", "task");
        }
    }
}
