//! Behaviour of the codecs.
