//! Behaviour of the rendering.
