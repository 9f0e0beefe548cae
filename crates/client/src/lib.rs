//! The Rust client: publish, and subscribe by any of the five ways with resume.
