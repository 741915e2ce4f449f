//! The program's library: what the binary, its commands and their tests share.

pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod doctor;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod serve;
pub mod sound_file;
pub mod store;
pub mod tls;
pub mod worker;

mod acme;
mod alarm;
mod api;
mod capacity;
mod chance;
mod chapters;
mod events;
mod openapi;
mod origin;
mod overflow;
mod pages;
mod plane;
#[cfg(test)]
mod sample;
mod secret_file;
mod supervisor;
mod webhooks;
