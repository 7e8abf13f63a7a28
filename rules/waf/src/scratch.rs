//! Room that transactions use one after the other, so that a request costs no allocation once a worker is warm.
//!
//! Each thread keeps a few. Promises: a thread keeps at most [`KEPT`] times an arena, two parts of [`KEPT_BYTES`] and the
//! collections of [`Use`], and [`KEPT_DESKS`] desks, under 4 MiB; what is kept holds no value of a request any more (the
//! bytes of the arena are written over by the next). A transaction that ends on another thread leaves its room there. A
//! request that waits for its response has no desk.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use ::bytes::{BufMut, Bytes, BytesMut};

use crate::bodies::json;
use crate::collection::{Collection, Others, Slot};
use crate::operators::Captures;
use crate::prefilter::{Bits, Memo};
use crate::transformations::bytes;
use crate::values::{Target, Value, small_number};

/// Transactions of one thread at a time whose room is kept.
const KEPT: usize = 5;
/// Desks that a thread keeps: that of the request it judges, and of others that have a head and wait for their body.
const KEPT_DESKS: usize = 3;
/// Bytes of a memo that is kept: one that is full, with what its texts hold together.
const MEMO_ROOM: usize = 264 * 1024;
/// Bytes of each other part that is kept.
const KEPT_BYTES: usize = 64 * 1024;
/// Bytes of what is small in an ordinary request: its captures, and the way to a JSON value.
const LITTLE_BYTES: usize = 16 * 1024;
/// Bytes of each collection that is kept.
const COLLECTION_BYTES: usize = 16 * 1024;
/// Bytes of an arena: the facts of an ordinary request and what its values are transformed to. Each request in flight has
/// one.
const ARENA_BYTES: usize = 32 * 1024;
/// Bytes of texts that macros of ordinary requests expand to.
const TEXT_BYTES: usize = 4 * 1024;

/// Bytes of each further piece of an arena, and those that are left of one before the next is begun.
const PIECE: usize = 8 * 1024;
/// See [`PIECE`].
const LEAST: usize = 64;
/// Bytes of a transformed text that is copied.
const COPIED: usize = 16 * 1024;

/// Items of a list that begins.
const FIRST: usize = 4;

/// Texts of one transaction, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    room: BytesMut,
    /// Bytes of each further piece of room; 0: as many as are asked for.
    piece: usize,
}

impl Arena {
    /// Gets ready for a transaction.
    fn begin(&mut self, bytes: usize) {
        self.room.reserve(bytes);
        self.piece = PIECE;
    }

    /// Makes room for so many bytes.
    fn reach(&mut self, bytes: usize) {
        if self.piece > 0 && self.room.capacity() < bytes {
            self.room.reserve(bytes.max(self.piece));
        }
    }

    /// A copy. One that would take much of the arena is made elsewhere.
    pub(crate) fn copy(&mut self, text: &[u8]) -> Bytes {
        if text.len() > COPIED {
            return Bytes::copy_from_slice(text);
        }
        self.reach(text.len());
        self.write(|buffer| buffer.put_slice(text))
    }

    /// A number as rules see it.
    pub(crate) fn number(&mut self, number: usize) -> Bytes {
        small_number(number).unwrap_or_else(|| {
            self.write(|buffer| {
                // Writing to memory does not fail.
                let _ = write!(buffer, "{number}");
            })
        })
    }

    /// A copy in lower case, for an arena that only grows when it is used.
    pub(crate) fn lower(&mut self, text: &[u8]) -> Bytes {
        if text.len() > TEXT_BYTES {
            return Bytes::from(text.to_ascii_lowercase());
        }
        self.piece = PIECE;
        self.reach(text.len());
        self.write(|buffer| buffer.extend(text.iter().map(u8::to_ascii_lowercase)))
    }

    /// A text that was made elsewhere. One that would take much of the arena stays where it is, but for the bytes that
    /// it has room for and does not hold.
    pub(crate) fn take(&mut self, mut text: Vec<u8>) -> Bytes {
        if text.len() > COPIED {
            if text.capacity() - text.len() > COPIED {
                text.shrink_to_fit();
            }
            return Bytes::from(text);
        }
        let copy = self.copy(&text);
        bytes::recycle(text);
        copy
    }

    /// What is written. Room that one long text took is not kept.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        self.reach(LEAST);
        write(&mut self.room);
        let text = self.room.split().freeze();
        if text.len() > ARENA_BYTES {
            self.room = BytesMut::new();
        }
        text
    }
}

/// Adds to a list that grows by a quarter, not to twice its length: what it has room for and does not hold is little.
#[inline]
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(FIRST));
    }
    list.push(item);
}

/// Targets that `ctl` removes.
type Targets = Arc<[Target]>;

/// What a transaction has while its rules run, and not while it waits for its response.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) memo: Memo,
    /// `MATCHED_VARS`
    pub(crate) matched: Vec<Value>,
    /// Values of a link that is tried.
    pub(crate) values: Vec<Value>,
    pub(crate) captures: Captures,
    /// Names of `TX` that no rule set knows.
    pub(crate) others: Others,
    /// What reading a JSON body takes.
    pub(crate) json: json::Room,
}

impl Desk {
    /// Takes everything away that a request left, and room that is too much to be kept.
    fn clear(&mut self) {
        self.memo.clear();
        self.captures.clear();
        self.others.clear();
        for values in [&mut self.matched, &mut self.values] {
            values.clear();
            if values.capacity() * size_of::<Value>() > KEPT_BYTES {
                *values = Vec::new();
            }
        }
        if self.memo.room() > MEMO_ROOM {
            self.memo = Memo::default();
        }
        if self.captures.room() > LITTLE_BYTES {
            self.captures = Captures::default();
        }
        if self.others.bytes() > KEPT_BYTES {
            self.others = Others::default();
        }
        if self.json.bytes() > LITTLE_BYTES {
            self.json = json::Room::default();
        }
    }
}

/// The room.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) arena: Arena,
    /// Texts that macros expand to.
    pub(crate) texts: Arena,
    pub(crate) desk: Desk,
    has_desk: bool,
    pub(crate) live: Bits,
    /// `TX`
    pub(crate) store: Vec<Slot>,
    pub(crate) held: BytesMut,
    /// For the response's body, while the request's is in use.
    pub(crate) held_next: BytesMut,
    /// Targets that `ctl` removed, with the rules they were removed from.
    pub(crate) removed_targets: Vec<(Arc<[usize]>, Targets)>,
    /// Rules that `ctl` removed, by their indices.
    pub(crate) removed_rules: Bits,
    collections: [Collection; Use::Response as usize + 1],
}

/// What a collection holds; each has its own room, which fits it the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The request's headers.
    Headers,
    /// Its cookies.
    Cookies,
    /// The query's arguments.
    Query,
    /// The body's arguments.
    Body,
    /// The response's headers.
    Response,
}

impl Use {
    /// Bytes that are kept: a body has by far the most.
    fn kept(self) -> usize {
        if self == Self::Body { KEPT_BYTES } else { COLLECTION_BYTES }
    }
}

impl Scratch {
    /// Room that this thread keeps, or new.
    pub(crate) fn take() -> Self {
        let kept = POOL.try_with(|pool| pool.try_borrow_mut().ok().and_then(|mut pool| pool.pop()));
        let mut scratch = kept.ok().flatten().unwrap_or_default();
        scratch.arena.begin(ARENA_BYTES);
        scratch.texts.begin(TEXT_BYTES);
        scratch
    }

    /// Gets a desk that this thread keeps, or a new one, if there is none. Whether there was none.
    pub(crate) fn take_desk(&mut self) -> bool {
        if self.has_desk {
            return false;
        }
        let kept = DESKS.try_with(|desks| desks.try_borrow_mut().ok().and_then(|mut desks| desks.pop()));
        self.desk = kept.ok().flatten().unwrap_or_default();
        self.has_desk = true;
        true
    }

    /// Gives the desk back to this thread: what is on it is of no use any more.
    pub(crate) fn leave_desk(&mut self) {
        if !std::mem::take(&mut self.has_desk) {
            return;
        }
        let mut desk = std::mem::take(&mut self.desk);
        desk.clear();
        // See `give_back`.
        let _ = DESKS.try_with(|desks| {
            if let Ok(mut desks) = desks.try_borrow_mut()
                && desks.len() < KEPT_DESKS
            {
                desks.push(desk);
            }
        });
    }

    /// Empty captures.
    pub(crate) fn captures(&mut self) -> Captures {
        let mut captures = std::mem::take(&mut self.desk.captures);
        captures.clear();
        captures
    }

    /// An empty collection.
    pub(crate) fn collection(&mut self, what: Use) -> Collection {
        self.collections.get_mut(what as usize).map(std::mem::take).unwrap_or_default()
    }

    /// Keeps a collection's room.
    pub(crate) fn keep(&mut self, what: Use, mut collection: Collection) {
        collection.clear();
        if let Some(kept) = self.collections.get_mut(what as usize)
            && collection.bytes() <= what.kept()
            && collection.bytes() > kept.bytes()
        {
            *kept = collection;
        }
    }

    /// Gives the room back to this thread.
    pub(crate) fn give_back(mut self) {
        self.leave_desk();
        self.store.clear();
        self.held.clear();
        self.held_next.clear();
        self.removed_targets.clear();
        self.removed_rules.clear();
        if self.held.capacity() > KEPT_BYTES {
            self.held = BytesMut::new();
        }
        if self.held_next.capacity() > KEPT_BYTES {
            self.held_next = BytesMut::new();
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
    static DESKS: RefCell<Vec<Desk>> = const { RefCell::new(Vec::new()) };
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
    fn a_thread_keeps_desks_up_to_their_limits() {
        let kept = |count: usize, desk: fn(usize) -> Desk, bytes: usize| {
            DESKS.with(|desks| desks.borrow_mut().clear());
            for _ in 0..count {
                Scratch { desk: desk(bytes), has_desk: true, ..Scratch::default() }.leave_desk();
            }
            DESKS.with(|desks| {
                let room = |desk: &Desk| desk.memo.room() + desk.values.capacity() * size_of::<Value>();
                (desks.borrow().len(), desks.borrow().iter().map(room).sum::<usize>() > 0)
            })
        };
        let memo = |bytes| Desk { memo: Memo::with_room(bytes), ..Desk::default() };
        let values = |count| Desk { values: Vec::with_capacity(count), ..Desk::default() };
        let counts = [KEPT_DESKS - 1, KEPT_DESKS, KEPT_DESKS + 1];
        assert_eq!(counts.map(|count| kept(count, memo, 64).0), [2, 3, 3]);
        let most = [MEMO_ROOM - 4, MEMO_ROOM, MEMO_ROOM + 4];
        assert_eq!(most.map(|bytes| kept(1, memo, bytes).1), [true, true, false]);
        let most = KEPT_BYTES / size_of::<Value>();
        assert_eq!([most - 1, most, most + 1].map(|count| kept(1, values, count).1), [true, true, false]);
        Scratch::default().leave_desk();
        assert_eq!(kept(0, memo, 0).0, 0, "what has no desk leaves none");
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
