//! Keys of the application in a browser: how it is reached, and who vouches for people there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::key::{Kind, Reading, Value, section};
use super::quoted;
use super::tree::Tree;
use super::value::text;

/// The port of the application in a browser.
const WEB_PORT: u16 = 3080;

section! {
    /// The application in a browser.
    Web {
        /// Address to listen at. Without `tls` a loopback address: for others than people on this
        /// machine, a proxy before it speaks TLS then.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), WEB_PORT);
        /// What stands in the address bar of browsers, as `https://audit.example.org`; requests under
        /// another name are refused. Empty: the address and `localhost`, with the port, over HTTP, or
        /// over HTTPS with `tls`.
        origin: String = String::new();
        /// TLS of its own, 1.2 or later, so that no proxy is needed before it.
        tls: Option<Tls> = None;
        /// Addresses of proxies that are believed in what `X-Forwarded-For` says: bounds and events are by
        /// the browser's address then, and not by theirs. Whoever can send from one of them can be at any
        /// address. At most 1000.
        trusted_proxies: Vec<IpAddr> = Vec::new();
        /// Providers of OpenID Connect that vouch for people: each has a button where one signs in. At
        /// most 16.
        oidc: Vec<Oidc> = Vec::new();
    }
}

section! {
    /// TLS of the application in a browser. Both files are read again when they change, without a
    /// restart; connections that are there go on.
    Tls {
        /// The certificate, and behind it those that lead to its authority, in PEM. Required.
        cert_file: PathBuf = PathBuf::new();
        /// Its private key, in PEM (PKCS #8, PKCS #1 or SEC 1). Nobody but its owner and group may read
        /// it. Required.
        key_file: PathBuf = PathBuf::new();
    }
}

section! {
    /// A provider of OpenID Connect: authorization code, PKCE, ID token. Nobody signs in by it but whom
    /// `claims_to_roles` names.
    Oidc {
        /// Its name in the API and in events: lower-case letters, digits and `-`, at most 32. Each
        /// provider has another.
        name: String = "oidc".to_owned();
        /// What its button says behind "Sign in with". Empty: its name.
        display: String = String::new();
        /// Who it is, letter by letter as it says so itself, as `https://id.example.org`. `http` is for
        /// one on this machine only. Required.
        issuer_url: String = String::new();
        /// As whom the provider knows this service. It must let it come back to `ORIGIN/sign-in/oidc`; of
        /// several providers each to `ORIGIN/sign-in/oidc/NAME`. Required.
        client_id: String = String::new();
        /// A file with the secret that the provider gave for that; nobody but its owner and group may
        /// read it. Empty: it gave none (a public client, with PKCE alone).
        client_secret_file: PathBuf = PathBuf::new();
        /// What the provider is asked to say of people; `openid` is among it.
        scope: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec();
        /// The claim that has a person's name here: what is recorded of an account of that name is
        /// theirs, so choose none that people can set themselves. Of `email` only one that the provider
        /// has verified counts.
        username_claim: String = "preferred_username".to_owned();
        /// Who has which role. Somebody whom several rules name has the highest; whom none names does not
        /// sign in. Taking a rule away signs out whom it let in. At most 1000.
        claims_to_roles: Vec<ClaimRule> = Vec::new() => live;
        /// What the provider is to ask people once more: `login`, `select_account` or `consent`. Empty:
        /// what it likes.
        prompt: String = String::new();
        /// Certificates of authorities that its own may be of, in PEM. Empty: those of this machine.
        ca_file: PathBuf = PathBuf::new();
        /// Addresses of this machine or network at which it may be: to others than those, and those of
        /// the open network, nothing is sent, whatever its name resolves to.
        addresses: Vec<IpAddr> = Vec::new();
    }
}

section! {
    /// Whoever has this value in this claim has this role.
    ClaimRule {
        /// The claim: a text, or a list of texts; of one inside others the path, as
        /// `realm_access.roles`. Required.
        claim: String = String::new();
        /// What must stand there, letter by letter. Required.
        value: String = String::new();
        /// `admin`, `auditor`, `reviewer` or `user`. Required.
        role: String = String::new();
    }
}

impl Value for IpAddr {
    const KIND: Kind = Kind::One("address");

    fn read(tree: &Tree, reading: &mut Reading) -> Option<Self> {
        let wanted = "an IP address, as 192.0.2.7 or 2001:db8::7";
        let written = text(tree, wanted, reading)?;
        let value = written.parse().ok();
        if value.is_none() {
            let what = format!("{} is not {wanted}", quoted(written));
            reading.wrong(tree.place, what, format!("write {wanted}"));
        }
        value
    }

    fn shown(&self) -> String {
        quoted(&self.to_string())
    }
}
