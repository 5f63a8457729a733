//! What the timing promises and the files do not keep.

/// Bytes that the timing tells of and the files do not hold.
#[derive(Debug, Default)]
pub(super) struct Missing {
    pub(super) shown: u64,
    pub(super) shown_from_ns: u64,
    pub(super) typed: u64,
    pub(super) typed_from_ns: u64,
    pub(super) elsewhere: u64,
}

impl Missing {
    /// Notes that so many bytes are missing from this moment on.
    pub(super) fn note(&mut self, typed: bool, bytes: u64, at_ns: u64) {
        let (count, from_ns) = match typed {
            true => (&mut self.typed, &mut self.typed_from_ns),
            false => (&mut self.shown, &mut self.shown_from_ns),
        };
        if *count == 0 {
            *from_ns = at_ns;
        }
        *count = count.saturating_add(bytes);
    }
}
