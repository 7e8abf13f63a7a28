//! A list that grows without moving what it holds: in pieces of [`PIECE`] items, so that it never has room for twice its
//! length, nor is there twice while it grows. Pieces stay when it is cleared.

/// Items of a piece; one more look-up finds an item.
const PIECE: usize = 64;

/// Items one after the other.
#[derive(Debug)]
pub(super) struct List<T> {
    pieces: Vec<Vec<T>>,
    length: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), length: 0 }
    }
}

impl<T> List<T> {
    /// Adds an item at the end.
    #[inline]
    pub(super) fn push(&mut self, item: T) {
        let piece = self.length / PIECE;
        if piece == self.pieces.len() {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.get_mut(piece) {
            piece.push(item);
            self.length += 1;
        }
    }

    /// An item by its place.
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    /// See [`List::get`].
    #[inline]
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)
    }

    /// Every item.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// See [`List::iter`].
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flatten()
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Takes every item away and keeps the room.
    pub(super) fn clear(&mut self) {
        let pieces = self.length.div_ceil(PIECE);
        self.pieces.iter_mut().take(pieces).for_each(Vec::clear);
        self.length = 0;
    }

    /// Bytes of the room.
    pub(super) fn room(&self) -> usize {
        self.pieces.len() * PIECE * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_across_pieces_and_room_is_kept() {
        let mut list = List::default();
        for times in 1..3 {
            for item in 0..=PIECE {
                assert_eq!((list.len(), list.get(item)), (item, None));
                list.push(item * times);
            }
            assert_eq!(list.get(PIECE), Some(&(PIECE * times)));
            list.iter_mut().for_each(|item| *item += 1);
            assert_eq!(list.get(0), Some(&1));
            assert_eq!(list.get_mut(PIECE - 1), Some(&mut ((PIECE - 1) * times + 1)));
            list.clear();
            assert_eq!(list.room(), 2 * PIECE * size_of::<usize>());
        }
    }
}
