//! Room that transactions use one after the other, so that a request costs no allocation once a worker is warm.
//!
//! Each thread keeps a few. Promises: a thread keeps at most [`KEPT`] times one memo, four parts of
//! [`KEPT_BYTES`] and [`COLLECTIONS`] collections, under 4 MiB; what is kept holds no value of a request any more (the bytes of the arena are written over by the next). A transaction
//! that ends on another thread leaves its room there.

use std::cell::RefCell;
use std::sync::Arc;

use ::bytes::{BufMut, Bytes, BytesMut};

use crate::collection::{Collection, Room};
use crate::operators::Captures;
use crate::prefilter::{Bits, Memo};
use crate::transformations::bytes;
use crate::values::{Target, Value};

/// Transactions of one thread at a time whose room is kept.
const KEPT: usize = 6;
/// Bytes of a memo that is kept: one that is full.
const MEMO_ROOM: usize = 256 * 1024;
/// Bytes of each other part that is kept.
const KEPT_BYTES: usize = 64 * 1024;
/// Collections that one transaction gives back, and bytes of each.
const COLLECTIONS: usize = 8;
/// See [`COLLECTIONS`].
const COLLECTION_BYTES: usize = 16 * 1024;
/// Bytes of an arena: the facts of an ordinary request and what its values are transformed to.
const ARENA_BYTES: usize = 64 * 1024;
/// Bytes of texts that macros of ordinary requests expand to.
const TEXT_BYTES: usize = 4 * 1024;

/// Bytes of a transformed text that is copied.
const COPIED: usize = 16 * 1024;

/// Texts of one transaction, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Arena(BytesMut);

impl Arena {
    /// A copy.
    pub(crate) fn copy(&mut self, text: &[u8]) -> Bytes {
        self.write(|buffer| buffer.put_slice(text))
    }

    /// A text that was made elsewhere. One that would take much of the arena stays where it is.
    pub(crate) fn take(&mut self, text: Vec<u8>) -> Bytes {
        if text.len() > COPIED {
            return Bytes::from(text);
        }
        let copy = self.copy(&text);
        bytes::recycle(text);
        copy
    }

    /// What is written.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        write(&mut self.0);
        self.0.split().freeze()
    }
}

/// Targets that `ctl` removes.
type Targets = Arc<[Target]>;

/// The room.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) arena: Arena,
    /// Texts that macros expand to.
    pub(crate) texts: Arena,
    pub(crate) memo: Memo,
    pub(crate) live: Bits,
    /// `TX`
    pub(crate) store: Room,
    /// `MATCHED_VARS`
    pub(crate) matched: Vec<Value>,
    /// Values of a link that is tried.
    pub(crate) values: Vec<Value>,
    pub(crate) held: BytesMut,
    pub(crate) captures: Captures,
    /// Targets that `ctl` removed, with the rules they were removed from.
    pub(crate) removed_targets: Vec<(Arc<[usize]>, Targets)>,
    collections: Vec<Collection>,
}

impl Scratch {
    /// Room that this thread keeps, or new.
    pub(crate) fn take() -> Self {
        let kept = POOL.try_with(|pool| pool.try_borrow_mut().ok().and_then(|mut pool| pool.pop()));
        let mut scratch = kept.ok().flatten().unwrap_or_default();
        scratch.arena.0.reserve(ARENA_BYTES);
        scratch.texts.0.reserve(TEXT_BYTES);
        scratch
    }

    /// Empty captures.
    pub(crate) fn captures(&mut self) -> Captures {
        let mut captures = std::mem::take(&mut self.captures);
        captures.clear();
        captures
    }

    /// An empty collection.
    pub(crate) fn collection(&mut self) -> Collection {
        self.collections.pop().unwrap_or_default()
    }

    /// Keeps a collection's room.
    pub(crate) fn keep(&mut self, mut collection: Collection) {
        collection.clear();
        if self.collections.len() < COLLECTIONS && collection.bytes() <= COLLECTION_BYTES {
            self.collections.push(collection);
        }
    }

    /// Gives the room back to this thread.
    pub(crate) fn give_back(mut self) {
        self.memo.clear();
        self.store.0.clear();
        self.store.1.clear();
        self.matched.clear();
        self.values.clear();
        self.held.clear();
        self.captures.clear();
        self.removed_targets.clear();
        if self.captures.room() > KEPT_BYTES {
            self.captures = Captures::default();
        }
        if self.memo.room() > MEMO_ROOM {
            self.memo = Memo::default();
        }
        if self.held.capacity() > KEPT_BYTES {
            self.held = BytesMut::new();
        }
        for values in [&mut self.matched, &mut self.values] {
            if values.capacity() * size_of::<Value>() > KEPT_BYTES {
                *values = Vec::new();
            }
        }
        // At the end of the thread there is no pool any more, and the room is freed.
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < KEPT
            {
                pool.push(self);
            }
        });
    }
}

thread_local! {
    static POOL: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_room_up_to_its_limit() {
        let kept = |count: usize| {
            let many: Vec<Scratch> = (0..count).map(|_| Scratch::default()).collect();
            POOL.with(|pool| pool.borrow_mut().clear());
            many.into_iter().for_each(Scratch::give_back);
            POOL.with(|pool| pool.borrow().len())
        };
        assert_eq!((kept(KEPT - 1), kept(KEPT), kept(KEPT + 1)), (KEPT - 1, KEPT, KEPT));
    }

    #[test]
    fn room_that_grew_over_its_limit_is_not_kept() {
        for (bytes, keeps) in [(KEPT_BYTES, true), (KEPT_BYTES + 1, false)] {
            let scratch = Scratch { held: BytesMut::with_capacity(bytes), ..Scratch::default() };
            scratch.give_back();
            assert_eq!(Scratch::take().held.capacity() > 0, keeps, "{bytes}");
        }
    }
}
