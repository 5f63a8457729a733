//! Prompts after which what is typed is not for the record.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use crate::limits::PATTERN_BYTES_MAX;

/// What ships: words of password prompts in some languages, anywhere in the line before the
/// cursor, in any case. Each match costs only keystrokes (what is shown is kept), so they may be
/// wide.
pub const PROMPTS_DEFAULT: [&str; 3] = [
    r"(?i)pass ?(word|wort|phrase|code)|kennwort|\bPIN\b|\bPUK\b|\bOTP\b|verification code|one-time",
    r"(?i)mot de passe|contraseña|palavra-passe|\bsenha\b|wachtwoord|lösenord|adgangskode|hasło|heslo|jelszó|parol",
    r"[Пп]ароль|ПАРОЛЬ|密码|密碼|口令|パスワード|暗証番号|암호|비밀번호",
];

/// A prompt pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prompt pattern {:?}: {}", self.pattern, self.why)
    }
}

impl std::error::Error for PatternError {}

/// Regular expressions, searched for in the line before the cursor.
#[derive(Debug, Clone)]
pub struct Prompts(Vec<Regex>);

impl Prompts {
    /// These patterns and no others.
    ///
    /// # Errors
    /// The first pattern that is too long or not a regular expression.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let compile = |pattern: &str| {
            let error = |why: String| PatternError {
                pattern: pattern.to_owned(),
                why,
            };
            if pattern.len() > PATTERN_BYTES_MAX {
                return Err(error(format!("longer than {PATTERN_BYTES_MAX} bytes")));
            }
            RegexBuilder::new(pattern)
                .build()
                .map_err(|e| error(e.to_string()))
        };
        patterns
            .into_iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the text asks for something hidden.
    pub(crate) fn ask(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(text))
    }
}

impl Default for Prompts {
    /// [`PROMPTS_DEFAULT`].
    fn default() -> Self {
        // The test below proves that they compile; if one did not, everything would be hidden.
        Self::new(PROMPTS_DEFAULT).unwrap_or_else(|_| Self(Regex::new("").into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_patterns_compile() {
        assert_eq!(Prompts::default().0.len(), PROMPTS_DEFAULT.len());
        assert!(!Prompts::default().ask("$ ls -l"));
    }

    #[test]
    fn real_prompts_are_seen_and_others_not() {
        let prompts = Prompts::default();
        for prompt in [
            "Password: ",
            "[sudo] password for anna: ***",
            "anna@db1's password: ",
            "Enter passphrase for key '/home/anna/.ssh/id_ed25519': ",
            "Enter PIN for authenticator: ",
            "Verification code: ",
            "Passwort für anna: ",
            "Пароль: ",
            "密码：",
        ] {
            assert!(prompts.ask(prompt), "{prompt}");
        }
        for other in [
            "$ ",
            "mysql> ",
            "Shipping spins opinions",
            "Continue? [y/N] ",
        ] {
            assert!(!prompts.ask(other), "{other}");
        }
    }

    #[test]
    fn sudos_own_pattern_is_accepted_and_bad_ones_are_named() {
        assert!(
            Prompts::new(["[Pp]assword[: ]*"])
                .unwrap()
                .ask("Password: ")
        );
        let error = Prompts::new(["ok", "(unclosed"]).unwrap_err();
        assert_eq!(error.pattern, "(unclosed");
        assert!(Prompts::new(["x".repeat(2000).as_str()]).is_err());
    }
}
