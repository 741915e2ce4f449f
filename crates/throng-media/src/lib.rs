//! Sound, decided without IO, clock or chance: what speakers send becomes the programme, and the programme becomes
//! the bytes that listeners get.
//!
//! `speaker packets ► jitter ► mixer ► programme ► encode ► package ► Part`. Everything is 48 kHz `f32` in [-1, 1], cut
//! into frames of 20 ms, of one channel or, on the way from a speaker to the listeners of a stereo space, of
//! [two](WideFrame).

pub mod codec;
pub mod delay;
pub mod hold;
pub mod jitter;
pub mod level;
pub mod levelling;
pub mod limiter;
pub mod mixer;
pub mod package;
pub mod programme;
pub mod red;
pub mod rendering;
mod wide;

pub use wide::WideFrame;

/// Samples of one [`Frame`].
pub const FRAME_LEN: usize = 960;

/// 20 ms of 48 kHz mono sound.
pub type Frame = [f32; FRAME_LEN];

/// A frame of silence.
pub const SILENCE: Frame = [0.0; FRAME_LEN];
