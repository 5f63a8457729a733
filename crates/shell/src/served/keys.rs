//! What somebody types who comes over a network, as the recorder of a terminal treats it.

use std::time::Instant;

use crate::hidden::Typed;
use crate::prompt::Prompts;
use crate::terminal::Echo;

/// Typed bytes, kept back until it is clear that nothing hid them. `echo` is each time what the
/// terminal does at that moment with what is typed ([`super::Served::echo`]).
pub struct Keys(Typed);

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    /// With the default prompts for secrets.
    #[must_use]
    pub fn new() -> Self {
        Self(Typed::new(Prompts::default()))
    }

    /// The same of a terminal that is elsewhere: only lines that it has shown word for word are stored.
    #[must_use]
    pub fn echoed() -> Self {
        Self(Typed::echoed(Prompts::default()))
    }

    /// Follows what the program shows.
    pub fn shown(&mut self, bytes: &[u8]) {
        self.0.shown(bytes, Instant::now());
    }

    /// Takes typed bytes.
    pub fn typed(&mut self, bytes: &[u8], echo: Echo) {
        self.0.typed(bytes, echo, Instant::now());
    }

    /// Those that may be stored by now. To be called every tenth of a second while there may be some.
    pub fn released(&mut self, echo: Echo) -> Vec<u8> {
        self.0.look(echo);
        self.0.released(Instant::now())
    }

    /// Those that are left at the end.
    pub fn rest(&mut self, echo: Echo) -> Vec<u8> {
        self.0.rest(echo)
    }
}
