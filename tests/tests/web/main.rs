//! The application in a browser and the web server behind it: a real daemon, recorded sessions, raw
//! requests, and Chromium.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod browser;
mod controls;
mod damaged;
mod films;
mod held_back;
mod listings;
mod meeting;
mod mix_up;
mod oidc;
mod passkeys;
mod person;
mod place;
mod roles;
mod sharing;
mod signing_in;
mod speak;
mod tls;
mod watching;
