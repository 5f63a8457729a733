//! What tantivy is told of a block.

use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{IndexSettings, TantivyDocument, Term};

use super::terms::Terms;
use crate::index::Block;
use crate::index::wire::pack;

/// Name of what splits texts into words.
const WORDS: &str = "words";

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
    /// What [`Terms`] makes of its texts.
    pub(super) words: Field,
    /// UTC nanoseconds.
    pub(super) from: Field,
    /// UTC nanoseconds.
    pub(super) to: Field,
    id_high: Field,
    id_low: Field,
    number: Field,
    last: Field,
    /// The block as bytes, without its texts.
    pub(super) block: Field,
    /// Its texts as they are stored: a field of text is read and written at once, one of bytes byte by byte.
    pub(super) texts: Field,
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
        words: schema.add_text_field("words", text(WORDS)),
        from: schema.add_u64_field("from", number.clone()),
        to: schema.add_u64_field("to", number.clone()),
        id_high: schema.add_u64_field(ID_HIGH, number.clone()),
        id_low: schema.add_u64_field(ID_LOW, number.clone()),
        number: schema.add_u64_field(NUMBER, number.clone()),
        last: schema.add_u64_field(LAST, number),
        block: schema.add_bytes_field("block", BytesOptions::default().set_stored()),
        texts: schema.add_text_field("texts", TextOptions::default().set_stored()),
    };
    (schema.build(), fields)
}

/// Blocks that are compressed together, in bytes: sessions of one host and one day have much in
/// common, and a line of a log has little in common with itself.
const TOGETHER_BYTES: usize = 1024 * 1024;

/// Level of compression: a block is written once and read often.
const LEVEL: i32 = 6;

/// Blocks are compressed while others are put together.
pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor {
            compression_level: Some(LEVEL),
        }),
        docstore_compress_dedicated_thread: true,
        docstore_blocksize: TOGETHER_BYTES,
        ..IndexSettings::default()
    }
}

pub(super) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(WORDS, TextAnalyzer::from(Words::default()));
    manager
}

impl Fields {
    pub(super) fn key(&self, block: &Block) -> Term {
        Term::from_field_text(self.key, &key(block))
    }

    pub(super) fn document(&self, block: &Block) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        let whose = &block.whose;
        document.add_text(self.key, key(block));
        document.add_text(self.session, whose.session.to_string());
        document.add_text(self.user, &whose.user);
        document.add_text(self.host, &whose.host);
        document.add_text(self.kind, &whose.kind);
        document.add_text(self.words, &block.texts);
        let utc = block.utc();
        document.add_u64(self.from, utc.first_ns);
        document.add_u64(self.to, utc.last_ns);
        let id = u128::from_be_bytes(*whose.session.as_bytes());
        let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
        document.add_u64(self.id_high, u64::try_from(id >> 64).unwrap_or(0));
        document.add_u64(self.id_low, low);
        document.add_u64(self.number, u64::from(block.number));
        document.add_u64(self.last, u64::from(block.is_last));
        let (packed, texts) = pack(block);
        document.add_bytes(self.block, &packed);
        document.add_text(self.texts, texts);
        document
    }
}

fn key(block: &Block) -> String {
    format!("{}/{}", block.whose.session, block.number)
}

/// Words of questions, as terms. It runs in the thread that puts terms together.
#[derive(Debug, Clone, Default)]
struct Words {
    terms: Terms,
    token: Token,
}

struct WordStream<'a> {
    terms: &'a Terms,
    at: usize,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.terms.set(text);
        self.token.reset();
        WordStream {
            terms: &self.terms,
            at: 0,
            token: &mut self.token,
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(term) = self.terms.get(self.at) else {
            return false;
        };
        self.at += 1;
        self.token.text.clear();
        self.token.text.push_str(term);
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
