//! Who is known from before: the networks from which a user signed in, and the browsers, each of which has a
//! cookie for it. Neither lets anybody in; who is known is not bound by what strangers try.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use hansard_identity::device::Device;
use hansard_identity::limits::DEVICE_LIFE_S;

use super::attempts::{For, Seen, network};
use super::{Cookie, Web, cookies};

/// Name of the cookie of a browser in which somebody signed in. Signing out leaves it.
const COOKIE: Cookie = Cookie {
    plain: "hansard_browser",
    of_host: "__Host-hansard_browser",
};

/// What is known of a browser whose user is not said.
pub(super) fn known(device: Option<&Device>) -> Seen {
    device.map_or(Seen::Never, |device| Seen::Device(device.number))
}

impl Web {
    fn utc_s(&self) -> u64 {
        self.parts.clock.utc_ns() / 1_000_000_000
    }

    /// The browser, if somebody signed in with it.
    pub(super) fn device(&self, headers: &HeaderMap) -> Option<Device> {
        let utc_s = self.utc_s();
        let mut texts = cookies(headers, self.cookie_name(COOKIE));
        texts.find_map(|text| self.parts.devices.of(text, utc_s))
    }

    /// What is known of where an attempt for somebody comes from.
    pub(super) fn seen(&self, who: For<'_>, address: IpAddr, device: Option<&Device>) -> Seen {
        let For::User(user) = who else {
            return Seen::Never;
        };
        if let Some(device) = device.filter(|device| device.is_of(user)) {
            return Seen::Device(device.number);
        }
        match self.parts.places.has(user, network(address), self.utc_s()) {
            true => Seen::Place,
            false => Seen::Never,
        }
    }

    /// A user signed in from there.
    pub(super) async fn remember(self: &Arc<Self>, user: &str, address: IpAddr) {
        let (web, user) = (Arc::clone(self), user.to_owned());
        let (network, utc_s) = (network(address), self.utc_s());
        let kept =
            tokio::task::spawn_blocking(move || web.parts.places.seen(&user, network, utc_s));
        if let Ok(Err(why)) = kept.await {
            (self.parts.log)(&format!(
                "from where somebody signed in could not be kept: {why}"
            ));
        }
    }

    /// The cookie of a browser in which this user signed in. None without randomness: it is then not known again.
    pub(super) fn device_cookie(&self, user: &str, known: Option<&Device>) -> Option<HeaderValue> {
        let random = (&*self.parts.random, self.utc_s());
        let text = self.parts.devices.make(user, known, random).ok()?;
        let named = (self.cookie_name(COOKIE), text.as_str());
        Some(self.named_cookie(named, Some(DEVICE_LIFE_S)))
    }
}
