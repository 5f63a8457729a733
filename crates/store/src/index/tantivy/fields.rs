//! What tantivy is told of a block.

use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::Compressor;
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{IndexSettings, TantivyDocument, Term};

use crate::index::Block;

/// Name of what splits words at blanks.
const SPACED: &str = "spaced";

/// Names of numbers that are read by document.
pub(super) const ID_HIGH: &str = "id_high";
/// See [`ID_HIGH`].
pub(super) const ID_LOW: &str = "id_low";
/// See [`ID_HIGH`].
pub(super) const NUMBER: &str = "number";
/// See [`ID_HIGH`].
pub(super) const LAST: &str = "last";

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// Session and number, so that a block can be replaced.
    pub(super) key: Field,
    pub(super) session: Field,
    pub(super) user: Field,
    pub(super) host: Field,
    pub(super) kind: Field,
    pub(super) words: Field,
    /// UTC nanoseconds.
    pub(super) from: Field,
    /// UTC nanoseconds.
    pub(super) to: Field,
    id_high: Field,
    id_low: Field,
    number: Field,
    last: Field,
    /// The block, packed.
    pub(super) block: Field,
}

pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |tokenizer: &str| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing)
    };
    let number = NumericOptions::default().set_fast();
    let fields = Fields {
        key: schema.add_text_field("key", text("raw")),
        session: schema.add_text_field("session", text("raw")),
        user: schema.add_text_field("user", text("raw")),
        host: schema.add_text_field("host", text("raw")),
        kind: schema.add_text_field("kind", text("raw")),
        words: schema.add_text_field("words", text(SPACED)),
        from: schema.add_u64_field("from", number.clone()),
        to: schema.add_u64_field("to", number.clone()),
        id_high: schema.add_u64_field(ID_HIGH, number.clone()),
        id_low: schema.add_u64_field(ID_LOW, number.clone()),
        number: schema.add_u64_field(NUMBER, number.clone()),
        last: schema.add_u64_field(LAST, number),
        block: schema.add_bytes_field("block", BytesOptions::default().set_stored()),
    };
    (schema.build(), fields)
}

/// Blocks are compressed already.
pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

pub(super) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(SPACED, TextAnalyzer::from(Spaced::default()));
    manager
}

impl Fields {
    pub(super) fn key(&self, block: &Block) -> Term {
        Term::from_field_text(self.key, &key(block))
    }

    pub(super) fn document(&self, block: &Block, packed: Vec<u8>) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        let whose = &block.whose;
        document.add_text(self.key, key(block));
        document.add_text(self.session, whose.session.to_string());
        document.add_text(self.user, &whose.user);
        document.add_text(self.host, &whose.host);
        document.add_text(self.kind, &whose.kind);
        let words: Vec<String> = block.words().into_iter().collect();
        document.add_text(self.words, words.join(" "));
        let utc = block.utc();
        document.add_u64(self.from, utc.first_ns);
        document.add_u64(self.to, utc.last_ns);
        let id = u128::from_be_bytes(*whose.session.as_bytes());
        let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
        document.add_u64(self.id_high, u64::try_from(id >> 64).unwrap_or(0));
        document.add_u64(self.id_low, low);
        document.add_u64(self.number, u64::from(block.number));
        document.add_u64(self.last, u64::from(block.is_last));
        document.add_bytes(self.block, &packed);
        document
    }
}

fn key(block: &Block) -> String {
    format!("{}/{}", block.whose.session, block.number)
}

/// Splits at blanks, and does nothing else.
#[derive(Debug, Clone, Default)]
struct Spaced {
    token: Token,
}

struct SpacedStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for Spaced {
    type TokenStream<'a> = SpacedStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SpacedStream<'a> {
        self.token.reset();
        SpacedStream {
            rest: text,
            token: &mut self.token,
        }
    }
}

impl TokenStream for SpacedStream<'_> {
    fn advance(&mut self) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.token.text.clear();
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
