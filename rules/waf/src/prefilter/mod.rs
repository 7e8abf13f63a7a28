//! The fast path: one scan for each distinct text, then only the rules that can match.
//!
//! ```text
//!   compile:  rules    -> Folded (set-up done, gates as jumps)                            fold
//!             operator -> Needs (literals and bytes of which a match must hold some)      literals, needs
//!             rules    -> Program (views, their parts, chains, one scanner a side)        program, scanner
//!   run:      the rules that stay, in order                                               run
//!             Texts (each scanned once, transformed once by each transformation)           texts
//!             Hits (what was found in each, equal rows being one)                          hits
//!             Memo (what the texts of each part of a view hold together)                  memo
//!             a rule that no text of its view can match is passed over; of the others,
//!             only the texts that can match are tried                                     evaluate
//!   tell:     what becomes of one text at one rule                                        told
//! ```
//!
//! Promises: the same matches, order, captures and interruption as the straightforward evaluation, for no more work units;
//! that stays as the truth that this is tested against. What the fast path is unsure of takes the straightforward way.
//! Memory is bounded: see [`texts`]. Does not judge variables that rules can change,
//! `TX` by name aside.

mod bits;
mod bytes;
mod evaluate;
mod fold;
mod hits;
mod list;
mod literals;
mod memo;
mod needs;
mod places;
mod probe;
mod program;
mod run;
mod scanner;
#[cfg(test)]
mod tests;
mod texts;
mod told;

pub(crate) use bits::Bits;
pub(crate) use literals::needs as needs_of;
pub(crate) use memo::Memo;
pub(crate) use needs::{ByteSet, Clause, Needs};
pub(crate) use program::Program;
pub(crate) use run::Folding;
pub(crate) use told::Told;
