//! What was found in texts: a row of bits for each text, where equal rows are one, and for several texts together.
//!
//! Most texts of a request hold the same: numbers, plain words, names of arguments. Promises: rows of texts are bounded
//! by [`ROWS_BYTES`]; those that do not fit any more share one row with the hits of all of them, which may say that a text
//! holds what it does not, never the other way round. Rows of several texts together are at most as many as the parts and
//! groups of the rule set, in each phase. Does not know what the bits mean.

/// Bytes of the rows of texts; CRS's take some 200 bytes each, and an ordinary request has some twenty.
pub(super) const ROWS_BYTES: usize = 32 * 1024;

/// Rows whose being joined is remembered: those of most requests.
const REMEMBERED: usize = 256;

/// Rows that are kept as they come: a request with few texts is not worth the looking for equal ones.
const PLAIN: usize = 96;

/// Slots of the first table.
const FIRST: usize = 64;

/// The place of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(u32);

/// Rows, one after the other.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// Words of a row.
    words: usize,
    rows: Vec<u64>,
    count: u32,
    /// Rows of texts by what they hold: a place and one; nothing: free. At least half are free.
    slots: Vec<u32>,
    /// Rows of texts.
    texts: usize,
    /// The row of what does not fit.
    shared: Option<Row>,
    /// The row of no text.
    nothing: Option<Row>,
    /// The row that is made.
    made: Vec<u64>,
    joined: Joined,
}

/// What several texts hold together.
#[derive(Debug, Default)]
struct Joined {
    row: Vec<u64>,
    /// Which rows are in it, of the first ones.
    has: [u64; REMEMBERED / 64],
    /// The first row, as long as it is the only one: it is not written out then.
    only: Option<Row>,
    is_empty: bool,
}

impl Hits {
    /// Forgets everything and keeps the room. Rows have so many words from here on.
    pub(super) fn clear(&mut self, words: usize) {
        self.rows.clear();
        if self.texts > PLAIN {
            self.slots.fill(0);
        }
        (self.words, self.count, self.texts) = (words, 0, 0);
        (self.shared, self.nothing) = (None, None);
    }

    /// Words of a row.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Bytes of the room.
    pub(super) fn room(&self) -> usize {
        self.rows.capacity() * size_of::<u64>() + self.slots.capacity() * size_of::<u32>()
    }

    /// A row.
    #[inline]
    pub(super) fn row(&self, row: Row) -> &[u64] {
        let from = row.0 as usize * self.words;
        self.rows.get(from..from + self.words).unwrap_or_default()
    }

    /// The row of a text: the bits of another one, if it is said to have them, and what is written.
    pub(super) fn keep<T>(&mut self, alike: Option<Row>, write: impl FnOnce(&mut [u64]) -> T) -> (Row, T) {
        let mut made = std::mem::take(&mut self.made);
        made.clear();
        match alike {
            Some(alike) => made.extend_from_slice(self.row(alike)),
            None => made.resize(self.words, 0),
        }
        let answer = write(&mut made);
        let row = self.place(&made);
        self.made = made;
        (row, answer)
    }

    fn place(&mut self, row: &[u64]) -> Row {
        if self.texts < PLAIN && (self.texts + 1) * size_of_val(row) <= ROWS_BYTES {
            self.texts += 1;
            return self.push(row);
        }
        if self.slots.is_empty() {
            self.slots.resize(FIRST, 0);
        }
        let mut at = hash(row) as usize;
        loop {
            let mask = self.slots.len() - 1;
            let Some(slot) = self.slots.get(at & mask) else { return Row::default() };
            let Some(known) = slot.checked_sub(1) else { break };
            if self.row(Row(known)) == row {
                return Row(known);
            }
            at += 1;
        }
        if (self.texts + 1) * size_of_val(row) > ROWS_BYTES {
            return self.share(row);
        }
        let place = self.push(row);
        self.texts += 1;
        let mask = self.slots.len() - 1;
        if let Some(slot) = self.slots.get_mut(at & mask) {
            *slot = place.0 + 1;
        }
        if self.texts * 2 > self.slots.len() {
            self.grow();
        }
        place
    }

    /// Adds a row that has no place of its own to the one of all of these.
    fn share(&mut self, row: &[u64]) -> Row {
        let shared = match self.shared {
            Some(shared) => shared,
            None => self.push(row),
        };
        self.shared = Some(shared);
        let from = shared.0 as usize * self.words;
        let all = self.rows.get_mut(from..from + self.words).unwrap_or_default();
        add(all, row);
        shared
    }

    fn push(&mut self, row: &[u64]) -> Row {
        let place = Row(self.count);
        self.rows.extend_from_slice(row);
        self.count += 1;
        place
    }

    /// Puts the rows of texts in a table of twice the slots.
    fn grow(&mut self) {
        let known = std::mem::take(&mut self.slots);
        self.slots.resize(known.len() * 2, 0);
        let mask = self.slots.len() - 1;
        for place in known.into_iter().filter(|place| *place > 0) {
            let mut at = hash(self.row(Row(place - 1))) as usize;
            while let Some(slot) = self.slots.get_mut(at & mask) {
                if *slot == 0 {
                    *slot = place;
                    break;
                }
                at += 1;
            }
        }
    }

    /// Begins to join rows.
    pub(super) fn join(&mut self) {
        let Joined { has, only, is_empty, .. } = &mut self.joined;
        (*has, *only, *is_empty) = ([0; REMEMBERED / 64], None, true);
    }

    /// Adds a row to those that are joined.
    #[inline]
    pub(super) fn add(&mut self, row: Row) {
        let joined = &mut self.joined;
        // The row of what does not fit may have grown since.
        if self.shared != Some(row) {
            if joined.only == Some(row) {
                return;
            }
            if let Some(word) = joined.has.get_mut(row.0 as usize / 64) {
                let bit = 1 << (row.0 % 64);
                if *word & bit != 0 {
                    return;
                }
                *word |= bit;
            }
            if joined.is_empty {
                (joined.only, joined.is_empty) = (Some(row), false);
                return;
            }
        }
        self.write_out();
        let from = row.0 as usize * self.words;
        let more = self.rows.get(from..from + self.words).unwrap_or_default();
        add(&mut self.joined.row, more);
    }

    /// Adds a text that has no row to those that are joined.
    pub(super) fn add_text(&mut self, write: impl FnOnce(&mut [u64])) {
        self.write_out();
        write(&mut self.joined.row);
    }

    /// Writes what was joined until now, so that more can be added: most often one row, or none, is all.
    fn write_out(&mut self) {
        let Joined { row, only, is_empty, .. } = &mut self.joined;
        if let Some(only) = only.take() {
            let from = only.0 as usize * self.words;
            row.clear();
            row.extend_from_slice(self.rows.get(from..from + self.words).unwrap_or_default());
        } else if *is_empty {
            row.clear();
            row.resize(self.words, 0);
        }
        *is_empty = false;
    }

    /// The row of all that were joined; it may well be that of `like`.
    pub(super) fn joined(&mut self, like: Option<Row>) -> Row {
        if let Some(only) = self.joined.only {
            return only;
        }
        if self.joined.is_empty {
            let nothing = self.nothing.unwrap_or_else(|| {
                self.write_out();
                let row = std::mem::take(&mut self.joined.row);
                let nothing = self.push(&row);
                self.joined.row = row;
                nothing
            });
            self.nothing = Some(nothing);
            return nothing;
        }
        let row = std::mem::take(&mut self.joined.row);
        let place = match like.filter(|like| self.row(*like) == row.as_slice()) {
            Some(like) => like,
            None => self.push(&row),
        };
        self.joined.row = row;
        place
    }
}

/// Adds the bits of a row to another one.
#[inline]
pub(super) fn add(row: &mut [u64], more: &[u64]) {
    let mut more = more.iter();
    for word in row {
        *word |= more.next().copied().unwrap_or_default();
    }
}

/// Of what a row holds.
fn hash(row: &[u64]) -> u32 {
    let mixed = row
        .iter()
        .fold(0_u64, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    u32::try_from(mixed >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(hits: &mut Hits, words: &[u64]) -> Row {
        hits.keep(None, |row| row.copy_from_slice(words)).0
    }

    fn hits() -> Hits {
        let mut hits = Hits::default();
        hits.clear(2);
        hits
    }

    #[test]
    fn equal_rows_are_one_while_the_table_grows() {
        let mut hits = hits();
        let rows: Vec<Row> = (0..1_000).map(|word| kept(&mut hits, &[word, 7])).collect();
        for (word, row) in (0..).zip(&rows) {
            assert_eq!(hits.row(*row), [word, 7]);
        }
        for (word, row) in (0..).zip(&rows).skip(PLAIN) {
            assert_eq!(kept(&mut hits, &[word, 7]), *row);
        }
        let like = hits.keep(rows.get(1).copied(), |row| row.iter_mut().for_each(|word| *word |= 8)).0;
        assert_eq!(hits.row(like), [9, 15]);
        hits.clear(1);
        assert_eq!(kept(&mut hits, &[3]), Row(0));
    }

    #[test]
    fn rows_are_kept_up_to_their_limit_and_then_share_one() {
        let mut hits = hits();
        let most = u64::try_from(ROWS_BYTES / 16).unwrap();
        let rows: Vec<Row> = (0..most).map(|word| kept(&mut hits, &[word, 0])).collect();
        assert!((0..).zip(&rows).all(|(word, row)| hits.row(*row) == [word, 0]), "at the limit");
        let (first, second) = (kept(&mut hits, &[1 << 40, 0]), kept(&mut hits, &[1 << 41, 1]));
        assert_eq!(first, second, "over it");
        assert_eq!(hits.row(first), [3 << 40, 1]);
        assert_eq!(kept(&mut hits, &[most - 1, 0]), *rows.last().unwrap(), "still known");
        assert!(hits.room() <= 2 * ROWS_BYTES + 4 * 4 * ROWS_BYTES / 16);
    }

    #[test]
    fn rows_are_joined() {
        let mut hits = hits();
        let (one, two) = (kept(&mut hits, &[1, 0]), kept(&mut hits, &[0, 2]));
        let mut joined = |rows: &[Row], like: Option<Row>| {
            hits.join();
            rows.iter().for_each(|row| hits.add(*row));
            let row = hits.joined(like);
            (row, hits.row(row).to_vec())
        };
        assert_eq!(joined(&[one, one], None), (one, vec![1, 0]), "a row alone is its own");
        let (both, words) = joined(&[one, two, one], None);
        assert_eq!(words, [1, 2]);
        assert_eq!(joined(&[two, one], Some(both)), (both, words), "and so is one that is alike");
        assert_eq!(joined(&[], None).1, [0, 0]);
        hits.join();
        hits.add(one);
        hits.add_text(|row| row.iter_mut().for_each(|word| *word |= 4));
        let row = hits.joined(None);
        assert_eq!(hits.row(row), [5, 4]);
    }
}
