//! The few types of SSH's wire format that a certificate is made of (RFC 4251 §5).

/// The one algorithm that our authorities sign with (RFC 8709).
pub(super) const ED25519: &str = "ssh-ed25519";

/// A message that is put together.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// Everything that is put in is bounded far below 4 GiB by whoever checked it.
    pub(super) fn string(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.uint32(len).raw(bytes)
    }

    pub(super) fn uint32(&mut self, n: u32) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }

    pub(super) fn uint64(&mut self, n: u64) -> &mut Self {
        self.raw(&n.to_be_bytes())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// An option or extension: its name, and its value packed once more (PROTOCOL.certkeys).
    pub(super) fn option(&mut self, name: &str, value: Option<&[u8]>) -> &mut Self {
        let mut packed = Self::new();
        if let Some(value) = value {
            packed.string(value);
        }
        self.string(name.as_bytes()).string(&packed.0)
    }
}

/// An Ed25519 public key as SSH writes it.
pub(super) fn public_blob(key: &[u8; 32]) -> Vec<u8> {
    let mut blob = Message::new();
    blob.string(ED25519.as_bytes()).string(key);
    blob.0
}

/// Takes a string off the front.
pub(super) fn take_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (string, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(string)
}
