//! Frameworks to learn from, as libraries; the programs of the same names run them.
//!
//! | framework | what it shows |
//! |---|---|
//! | [`test_framework`] | reading offers, launching several tasks on one, following their states |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod test_framework;
