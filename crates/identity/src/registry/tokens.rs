//! Making and removing join tokens.

use super::{Denied, Done, Registry};
use crate::fact;
use crate::failure::Failure;
use crate::hex;
use crate::limits::{
    REASON_BYTES_MAX, TOKEN_KEPT_NS, TOKEN_LIFE_NS_MAX, TOKEN_USES_MAX, TOKENS_MAX,
};
use crate::token::{JoinAs, Token, TokenId, TokenRow};

impl Registry {
    /// Makes a token that lets `uses_max` join as `role` for `life_ns` from now. The secret in the
    /// answer is nowhere else: who loses it makes another token.
    ///
    /// # Errors
    /// `Malformed` beyond [`TOKEN_USES_MAX`] or [`TOKEN_LIFE_NS_MAX`], `Conflict` at
    /// [`TOKENS_MAX`], `Retry` when the disk fails.
    pub fn create_token(
        &self,
        role: JoinAs,
        uses_max: u32,
        life_ns: u64,
        by: &str,
        utc_ns: u64,
    ) -> Result<Done<Token>, Denied> {
        check_text("who makes a token", by)?;
        if uses_max == 0 || uses_max > TOKEN_USES_MAX {
            let reason = format!("a token has 1 to {TOKEN_USES_MAX} uses");
            return Err(Failure::Malformed(reason).into());
        }
        if life_ns == 0 || life_ns > TOKEN_LIFE_NS_MAX {
            let days = TOKEN_LIFE_NS_MAX / (24 * 3600 * 1_000_000_000);
            let reason = format!("a token holds at most {days} days");
            return Err(Failure::Malformed(reason).into());
        }
        let _writing = self.writing();
        self.drop_old_tokens(utc_ns)?;
        if self.known().tokens.len() >= TOKENS_MAX {
            let reason = format!("there are {TOKENS_MAX} tokens: remove some first");
            return Err(Failure::Conflict(reason).into());
        }
        let token = Token::new(&*self.random)?;
        let row = TokenRow {
            id: token.id.to_string(),
            role,
            secret_sha256: hex::encode(&token.digest()),
            uses_max,
            uses: Vec::new(),
            created_ns: utc_ns,
            expires_ns: utc_ns.saturating_add(life_ns),
            created_by: by.to_owned(),
        };
        let facts = vec![fact::token_made(&row)];
        self.put_token(token.id, row)?;
        Ok(Done {
            answer: token,
            facts,
        })
    }

    /// Whether there is a token of this name, also one that holds no more.
    #[must_use]
    pub fn has_token(&self, id: TokenId) -> bool {
        self.known().tokens.contains_key(&id)
    }

    /// Removes a token. Who joined with it stays.
    ///
    /// # Errors
    /// `Conflict` when there is none of that name, `Retry` when the disk fails.
    pub fn remove_token(&self, id: TokenId, by: &str) -> Result<Done<()>, Denied> {
        check_text("who removes a token", by)?;
        let _writing = self.writing();
        let row = self.known().tokens.get(&id).cloned();
        let Some(row) = row else {
            return Err(Failure::Conflict(format!("there is no token {id}")).into());
        };
        self.drop_token(id)?;
        Ok(Done {
            answer: (),
            facts: vec![fact::token_removed(&row, by)],
        })
    }

    /// Removes tokens that expired long ago.
    fn drop_old_tokens(&self, utc_ns: u64) -> Result<(), Failure> {
        let is_old = |row: &TokenRow| row.expires_ns.saturating_add(TOKEN_KEPT_NS) < utc_ns;
        let known = self.known();
        let old = known.tokens.iter().filter(|(_, row)| is_old(row));
        let old: Vec<TokenId> = old.map(|(id, _)| *id).collect();
        drop(known);
        old.into_iter().try_for_each(|id| self.drop_token(id))
    }
}

/// Words that somebody gave and that events will hold.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Failure::Malformed(format!(
            "{what} must be 1 to {REASON_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(())
}
