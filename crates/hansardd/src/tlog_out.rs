//! Sessions as messages of tlog while they are recorded (`export.tlog`).
//!
//! A tap of the keeper notes each session durably before anything of it is archived ([`book`]); a
//! thread follows those sessions through spool and archive, makes messages of them, and gives them to
//! a helper process ([`helper`]), which says what is where it belongs ([`turns`]). Only durable parts
//! are sent, and nobody waits for it: a journal that is away delays messages and nothing else.
//!
//! **A crash** of the daemon or the helper loses nothing: what the book does not say to be written is
//! made and written again, under the same numbers. A reader that passes over a number it has seen, as
//! `hansard` does, reads each message once.

pub mod book;
pub mod helper;
mod session;
mod turns;

pub use turns::{Figures, Parts, Running, start};
