//! What the hooks have in common: how an attempt is judged, and a request answered.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hansard_core::Fields;
use hansard_shell::Account;
use russh::keys::{Certificate, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handle, Session};
use russh::{ChannelId, ChannelOpenFailure, Disconnect};

use super::{Handler, questions};
use crate::ssh::channel::{Asked, Waiting};
use crate::ssh::credentials::{Allowed, Attempt, judge_key};
use crate::ssh::forward::aside;
use crate::ssh::header::Who;
use crate::ssh::limits::KEYS_READ_MAX;
use crate::ssh::over::Over;
use crate::ssh::proxy::{self, Destination, FarChannel, Targets, parted};
use crate::ssh::{Node, access, account, fact, header};

/// The kind of extended data that is standard error (RFC 4254 §5.2).
const STDERR: u32 = 1;

/// The status of what the roles do not permit.
const FAILED: u32 = 1;

/// That of what could not be started, as of sshd(8).
const NOT_STARTED: u32 = 254;

impl Handler {
    /// Something came in a channel. Where nothing runs yet nobody else takes it.
    pub(super) fn came_in(&mut self, channel: ChannelId) -> Result<(), Over> {
        // Of what pours, this is all.
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = self.waiting.get_mut(&channel);
        waiting.map_or(Ok(()), Waiting::takes_what_came)
    }

    /// The same of what a hook handles.
    pub(super) fn handled_in(&mut self, channel: ChannelId) -> Result<(), Over> {
        self.connection.handled()?;
        self.came_in(channel)
    }

    /// Somebody has proven who they are: they are let in, or told why not.
    pub(super) async fn lets_in(&mut self, session: &mut Session) -> Result<(), Over> {
        self.asking.end();
        if let Some(why) = self.denied.take() {
            self.connection.ends_because(&why);
            return Ok(session.disconnect(Disconnect::ByApplication, &why, "")?);
        }
        let (login, target, allowed) = self.coming.take().ok_or(Over::NotInside)?;
        let account = match self.admission(&login, allowed.method).await {
            Ok(account) => account,
            Err(why) => {
                let said = self.attempt(&login, allowed.method);
                let said = said.with("name", allowed.user.as_str());
                return self.turned_away(said, &why, session);
            }
        };
        let leads_on = target.is_some();
        let who = Who {
            user: allowed.user.clone(),
            account,
            granted: allowed.roles.as_ref().map(|roles| roles.granted.clone()),
            remote: self.connection.remote,
            local: self.connection.local,
            is_elsewhere: self.connection.node.leads.is_some(),
            target,
            client: String::from_utf8_lossy(session.remote_sshid())
                .trim_end()
                .to_owned(),
        };
        self.connection.enter(who, allowed)?;
        self.connection.is_known();
        match leads_on {
            true => self.reach(session).await,
            false => Ok(()),
        }
    }

    /// What stands in the event of an attempt.
    pub(super) fn attempt(&self, login: &str, method: &str) -> Fields {
        let remote = header::canonical(self.connection.remote);
        Fields::new()
            .with("login", login)
            .with("method", method)
            .with("addr.remote", remote.to_string())
    }

    /// Which account is asked for, and where; an error is why nobody is led there.
    pub(super) fn asked<'a>(
        &self,
        user: &'a str,
    ) -> Result<(&'a str, Option<Destination>), String> {
        let Some(leads) = &self.connection.node.leads else {
            return Ok((user, None));
        };
        let (login, to) = match &self.connection.inside_of {
            Some(to) => (user, Some(to.clone())),
            None => parted(user)?,
        };
        if let Some(to) = &to {
            leads.may(to)?;
        }
        Ok((login, to))
    }

    /// Connects to the target. Whoever cannot be led there is told why, and the connection ends.
    pub(super) async fn reach(&self, session: &mut Session) -> Result<(), Over> {
        let inside = self.connection.inside()?;
        if proxy::asks_client(&self.connection, &inside) {
            proxy::reach_meanwhile(&self.connection, inside, session.handle());
            return Ok(());
        }
        match proxy::reach(&self.connection, &inside, session.handle()).await {
            Ok(target) => *self.connection.targets() = Targets::first(target),
            Err(why) => {
                self.connection.ends_because(&why);
                session.disconnect(Disconnect::ByApplication, &why, "")?;
            }
        }
        Ok(())
    }

    /// A channel at the target, if there is one to be led to.
    pub(super) async fn far(&self, handle: Handle) -> Result<Option<FarChannel>, String> {
        if self.connection.node.leads.is_none() {
            return Ok(None);
        }
        let inside = self.connection.inside().map_err(|over| over.to_string())?;
        let far = proxy::session(&self.connection, &inside, handle).await?;
        Ok(Some(far))
    }

    /// Whether somebody may come in, as far as the account goes.
    pub(super) fn judged(
        &mut self,
        login: &str,
        judged: Result<Allowed, String>,
        said: Fields,
    ) -> Result<Auth, Over> {
        let judged = judged.and_then(|allowed| {
            let (account, to) = self.asked(login)?;
            if self.connection.node.leads.is_none() {
                account::served(account)?;
            }
            Ok((account.to_owned(), to, allowed))
        });
        match judged {
            Ok(coming) => {
                self.coming = Some(coming);
                Ok(Auth::Accept)
            }
            Err(why) => {
                let said = fact::outcome(said, Some(&why));
                self.connection.record(fact::auth("auth", said))?;
                Ok(Auth::reject())
            }
        }
    }

    /// Somebody who has proven who they are, and may not come in, is told why. A refusal has no words in SSH,
    /// and a client without another key hears nothing behind it: so what they have proven is accepted, and the
    /// connection ends before anything can be asked for in it. On record it is a refusal.
    pub(super) fn deny(&mut self, why: String, said: Fields) -> Result<Auth, Over> {
        let said = fact::outcome(said, Some(&why));
        self.connection.record(fact::auth("auth", said))?;
        self.denied = Some(why);
        Ok(Auth::Accept)
    }

    /// The account of somebody who has proven that they may come in, if it may be used now. What decides may
    /// take its time, and is asked aside; whoever is turned away is told why.
    pub(super) async fn admission(&self, login: &str, method: &str) -> Result<Account, String> {
        if self.connection.node.leads.is_some() {
            return Ok(account::elsewhere(login));
        }
        // Asked again: what is started belongs to this account, and not to what its name meant before.
        let account = account::served(login)?;
        // Asked before as well, but then perhaps nobody could say what account it is.
        if account.uid == 0 && method == questions::METHOD {
            return Err("root is let in by a certificate or key, never by answers".to_owned());
        }
        let keeper = self.connection.keeper();
        let asked = account.clone();
        let admitted = aside(move || Ok(account::admitted(&asked, keeper.as_ref())));
        admitted.await.map_err(|e| e.to_string())??;
        Ok(account)
    }

    /// Tells somebody why they cannot come in after all.
    pub(super) fn turned_away(
        &self,
        said: Fields,
        why: &str,
        session: &mut Session,
    ) -> Result<(), Over> {
        self.connection
            .record(fact::auth("auth", fact::outcome(said, Some(why))))?;
        self.connection.ends_because(why);
        session.disconnect(Disconnect::ByApplication, why, "")?;
        Ok(())
    }

    /// A channel that is not opened, and why.
    pub(super) async fn refuse(
        &self,
        kind: &str,
        reply: ChannelOpenHandle,
        fields: Fields,
        why: &str,
    ) -> Result<(), Over> {
        self.connection.handled()?;
        let fields = fact::outcome(fields.with("channelType", kind), Some(why));
        self.connection
            .record(fact::channel("new_channel", fields))?;
        reply
            .reject(ChannelOpenFailure::AdministrativelyProhibited)
            .await;
        Ok(())
    }

    /// A request in a channel: what came of it is recorded before the client hears of it.
    pub(super) fn answer(
        &self,
        channel: ChannelId,
        session: &mut Session,
        (event, fields): (&str, Fields),
        outcome: Result<(), String>,
    ) -> Result<(), Over> {
        let refused = outcome.as_ref().err().map(String::as_str);
        let fields = fact::of_channel(channel.number(), fields, refused);
        let body = match event {
            "exec" | "shell" | "subsystem" => fact::command(event, fields),
            _ => fact::channel(event, fields),
        };
        self.connection.record(body)?;
        match outcome {
            Ok(()) => session.channel_success(channel)?,
            Err(_) => session.channel_failure(channel)?,
        }
        Ok(())
    }

    /// Starts what is asked for in a channel.
    pub(super) async fn start(
        &mut self,
        channel: ChannelId,
        asked: Asked,
        session: &mut Session,
        event: (&str, Fields),
    ) -> Result<(), Over> {
        self.connection.handled()?;
        let inside = self.connection.inside()?;
        // Told to end, it may take a moment to do so: nothing is begun in it.
        if let Some(why) = self.connection.ender.said() {
            return self.answer(channel, session, event, Err(why));
        }
        let waiting = self.waiting.remove(&channel);
        // What ends a channel in which nothing runs would end what runs in one.
        if let Err(why) = inside.may_start(&asked)
            && waiting.is_some()
        {
            return self.nothing_runs(channel, session, event, (&why, FAILED));
        }
        let (mut is_here, mut place) = (false, None);
        let started = match waiting {
            None => Err("something runs in the channel already".to_owned()),
            Some(waiting) => {
                place = waiting.place().upgrade();
                // Clients ask for it as soon as the channel is open.
                self.connection.distance.answered(waiting.age());
                is_here = waiting.is_here() && !matches!(asked, Asked::Subsystem(_));
                let starting = waiting.start(&asked, &self.connection, &inside, session.handle());
                starting.await
            }
        };
        let why = started.as_ref().err().cloned();
        let Some(why) = why.filter(|_| is_here) else {
            // The client's library keeps the channel until the client closes it, and so does ours.
            let place = place.filter(|_| started.is_err());
            self.idle.extend(place.map(|place| (channel, place)));
            return self.answer(channel, session, event, started);
        };
        self.nothing_runs(channel, session, event, (&why, NOT_STARTED))
    }

    /// Nothing runs, which is recorded as it is. The client is told why as by a program that ends at once with this
    /// status: it throws away what it is told together with a refusal.
    fn nothing_runs(
        &self,
        channel: ChannelId,
        session: &mut Session,
        (event, fields): (&str, Fields),
        (why, status): (&str, u32),
    ) -> Result<(), Over> {
        let fields = fact::of_channel(channel.number(), fields, Some(why));
        self.connection.record(fact::command(event, fields))?;
        session.channel_success(channel)?;
        session.extended_data(channel, STDERR, format!("hansard: {why}\r\n").into_bytes())?;
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)?;
        Ok(())
    }

    /// Judges a plain key. Whose account it is and what stands in its file others may have to be asked for, and
    /// the file is of the account's choice: both are done aside, and not waited for beyond a bound.
    pub(super) async fn plain(&self, login: &str, key: &PublicKey) -> Result<Allowed, String> {
        let node = &self.connection.node;
        if node.leads.is_some() {
            return Err("plain keys let nobody in here, only certificates do".to_owned());
        }
        let asked = (Arc::clone(node), login.to_owned(), key.clone());
        let from = self.connection.remote.ip();
        let judging = aside(move || Ok(plain(&asked.0, &asked.1, &asked.2, from)));
        let judged = tokio::time::timeout(KEYS_READ_MAX, judging).await;
        let judged = judged.map_err(|_| {
            let seconds = KEYS_READ_MAX.as_secs();
            format!("the account's authorized keys could not be read within {seconds} s")
        })?;
        let allowed = access::without(node, judged.map_err(|e| e.to_string())??)?;
        access::unlocked(node, &allowed, (login, None)).map(|()| allowed)
    }
}

/// Whether a plain key lets into an account of this machine.
fn plain(node: &Node, login: &str, key: &PublicKey, from: IpAddr) -> Result<Allowed, String> {
    let account = hansard_shell::account_named(login).ok_or("no such account")?;
    let file: Option<PathBuf> = node.config.authorized_keys.then(|| {
        let file = node.config.authorized_keys_file.as_str();
        // A whole path takes the home's place. No account has a name that leads elsewhere.
        account.home.join(file.replace("%u", &account.name))
    });
    let attempt = Attempt {
        login,
        from,
        now_s: now_s(),
    };
    judge_key(
        key,
        &node.authorities,
        file.as_deref(),
        attempt,
        account.uid,
    )
}

/// The wall clock, seconds since 1970.
pub(in crate::ssh) fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// The account that a certificate has to be for. Somebody who goes nowhere yet through a proxy (`ssh -J`) may give
/// their own name: where they go to, they are asked again. On a node the name is the account that they get, and
/// nothing but the certificate's principals says which that may be.
pub(super) fn login_of<'a>(
    certificate: &'a Certificate,
    login: &'a str,
    goes_nowhere_yet: bool,
) -> &'a str {
    let first = certificate.valid_principals().first();
    match first.filter(|_| goes_nowhere_yet && login == certificate.key_id()) {
        Some(first) => first,
        None => login,
    }
}

/// How long the message is that offers this key, without a certificate and without a signature
/// (RFC 4252 §7); 0 if that cannot be said.
pub(super) fn plain_offer_bytes(user: &str, key: &PublicKey) -> u64 {
    let Ok(blob) = key.to_bytes() else { return 0 };
    let strings = [
        user.len(),
        "ssh-connection".len(),
        "publickey".len(),
        key.algorithm().as_str().len(),
        blob.len(),
    ];
    // The message's number and "no signature", and before each string its length.
    strings.iter().fold(2, |sum, len| sum + 4 + *len as u64)
}
