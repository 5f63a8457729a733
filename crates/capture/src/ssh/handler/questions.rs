//! Signing in by answering what the system's modules (PAM) ask, where that is switched on. What is asked and answered
//! passes through here and is kept nowhere.

use std::borrow::Cow;

use hansard_core::Fields;
use hansard_shell::{Answer, Prompt, Questions, Step};
use russh::server::Auth;

use super::Handler;
use crate::ssh::access;
use crate::ssh::account;
use crate::ssh::credentials::Allowed;
use crate::ssh::fact;
use crate::ssh::forward::aside;
use crate::ssh::over::Over;

/// The method's name (RFC 4256).
pub(super) const METHOD: &str = "keyboard-interactive";

/// Longest text that somebody is asked with, and before it, bytes; the rest is cut.
const TEXT_BYTES_MAX: usize = 4096;

/// Somebody who is being asked, and the account that they want.
pub(super) struct Asking {
    login: String,
    questions: Questions,
}

impl Handler {
    /// Goes on asking, or begins to; what comes of it.
    pub(super) async fn questioned(
        &mut self,
        login: &str,
        answers: Option<Vec<Answer>>,
    ) -> Result<Auth, Over> {
        let said = self.attempt(login, METHOD);
        let step = self.step(login, answers).await;
        let why = match step {
            Ok(Step::Asks { text, prompts }) => return Ok(asked(&text, &prompts)),
            Ok(Step::Admitted) => {
                self.asking = None;
                return self.answered(login, said);
            }
            Ok(Step::Refused(why)) | Err(why) => why,
        };
        self.asking = None;
        let said = fact::outcome(said, Some(&why));
        self.connection.record(fact::auth("auth", said))?;
        Ok(Auth::reject())
    }

    /// Has the modules say what is next. That may take them their time, in a thread of its own.
    async fn step(&mut self, login: &str, answers: Option<Vec<Answer>>) -> Result<Step, String> {
        let going = self.asking.take().filter(|asking| asking.login == login);
        let mut asking = match (going, &answers) {
            (Some(asking), Some(_)) => asking,
            // Somebody begins, or begins anew.
            (_, None) => self.begun(login)?,
            (None, Some(_)) => return Err("nothing was asked".to_owned()),
        };
        let next = aside(move || {
            let step = asking.questions.next(answers);
            Ok((asking, step.map_err(|e| e.to_string())))
        });
        let (asking, step) = next.await.map_err(|e| e.to_string())?;
        self.asking = Some(asking);
        step
    }

    fn begun(&self, login: &str) -> Result<Asking, String> {
        let node = &self.connection.node;
        let keeper = self.connection.keeper();
        let Some(keeper) = keeper.filter(|_| node.config.questions && node.leads.is_none()) else {
            return Err("questions let nobody in here".to_owned());
        };
        // Before a password is looked at: nobody learns here whether it was the right one.
        if account::is_root(login) {
            return Err("root is let in by a certificate or key, never by answers".to_owned());
        }
        let questions = keeper.asks(login).map_err(|e| e.to_string())?;
        Ok(Asking {
            login: login.to_owned(),
            questions,
        })
    }

    /// Somebody is who they say: whether they may come in is judged as with a key.
    fn answered(&mut self, login: &str, said: Fields) -> Result<Auth, Over> {
        let node = &self.connection.node;
        let allowed = access::without(node, Allowed::account(login, METHOD))
            .and_then(|allowed| access::unlocked(node, &allowed, (login, None)).map(|()| allowed));
        match allowed {
            Ok(allowed) => self.judged(login, Ok(allowed), said),
            Err(why) => self.deny(why, said),
        }
    }
}

fn asked(text: &str, prompts: &[Prompt]) -> Auth {
    let cut = |text: &str| crate::registry::cut(text, TEXT_BYTES_MAX);
    let prompts = prompts
        .iter()
        .map(|prompt| (Cow::Owned(cut(&prompt.text)), prompt.is_shown));
    Auth::Partial {
        name: Cow::Borrowed(""),
        instructions: Cow::Owned(cut(text.trim_end())),
        prompts: Cow::Owned(prompts.collect()),
    }
}
