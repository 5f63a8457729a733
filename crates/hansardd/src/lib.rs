//! The daemon: records a host, keeps what many hosts recorded, and answers who may ask.

pub mod join;
