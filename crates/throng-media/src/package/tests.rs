//! Behaviour of the packaging.
