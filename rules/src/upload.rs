//! The rest of a form that is longer than what is held, because it has files.
//!
//! A file's bytes go on as they come. From the next boundary on bytes are held again, until everything but the files was
//! judged once more, as one form: a new transaction reads what was held so far. So nothing but the bytes of files reaches
//! the upstream unjudged, and the end of a form never does. Memory is bounded by [`ROUNDS`] times the policy's limit.

use palisade_model::documents::{BodyLimit, OverLimit};
use palisade_model::{Connection, Denial, Reason, RequestHead};
use palisade_waf::Transaction;

use crate::engine::Waf;
use crate::request::{LOOKS, refused};
use crate::{Answer, Exchange, Found, Judgement, Refused};

/// How often one form is judged before its end. Each time another file begins that is longer than the limit.
pub const ROUNDS: usize = 8;

/// What is to be done with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Send it on: it is a file's.
    Pass,
    /// Hold it.
    Hold,
    /// Hold it and call `judge`.
    Judge,
    /// Call `refuse`.
    TooLong,
}

/// Who asked, and what, so that it can be judged again.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) connection: Connection,
    pub(crate) exchange: Exchange,
}

/// The judge of the rest.
#[derive(Debug)]
pub struct Upload {
    origin: Origin,
    head: RequestHead,
    waf: Waf,
    judgement: Judgement,
    limit: BodyLimit,
    /// A line feed and the boundary.
    mark: Vec<u8>,
    /// The form as far as it was judged or is held, without most bytes of long files.
    form: Vec<u8>,
    /// The last bytes of the file that passes: a boundary may have begun in them.
    carry: Vec<u8>,
    /// Bytes on hold; 0 while a file passes.
    held: usize,
    /// Bytes on hold from which on they are judged.
    judge_at: usize,
    /// Bytes of the file that passes that are not in `form`, and whether the last one is a carriage return.
    passing: (u64, bool),
    /// Where in `form` bytes of a file are missing, and how many.
    passed: Vec<(usize, u64)>,
    seen: u64,
    rounds: usize,
    /// The policy inspects the first part, and that was it.
    over: bool,
    /// What the last judgement found.
    found: Option<Found>,
}

impl Upload {
    /// Goes on behind `form`, which ends in a file's bytes, more than a boundary's length into them.
    pub(crate) fn new(
        origin: Origin,
        head: RequestHead,
        waf: Waf,
        judgement: Judgement,
        form: Vec<u8>,
        mark: Vec<u8>,
    ) -> Self {
        let (limit, seen) = (waf.request_limit(), form.len() as u64);
        let mut upload = Self {
            origin,
            head,
            waf,
            judgement,
            limit,
            mark,
            form,
            carry: Vec::new(),
            held: 0,
            judge_at: limit.max_bytes,
            passing: (0, false),
            passed: Vec::new(),
            seen,
            rounds: 0,
            over: false,
            found: None,
        };
        upload.pass_on();
        upload
    }

    /// From here on a file passes.
    fn pass_on(&mut self) {
        let at = self.form.len().saturating_sub(self.mark.len() - 1);
        self.carry = self.form.split_off(at);
        self.held = 0;
        self.judge_at = self.limit.max_bytes;
        self.passing = (0, false);
    }

    /// Lets go the first bytes of what passes.
    fn let_go(&mut self, bytes: usize) {
        if let Some(last) = self.carry.drain(..bytes).next_back() {
            self.passing = (self.passing.0 + bytes as u64, last == b'\r');
        }
    }

    /// The file that passed has ended. The carriage return in front of a boundary's line feed is not its last byte;
    /// whoever reads the form takes the last one held for it.
    fn end_of_file(&mut self) {
        let (bytes, carriage_return) = self.passing;
        if bytes > 0 {
            let bytes = bytes + u64::from(self.form.ends_with(b"\r")) - u64::from(carriage_return);
            self.passed.push((self.form.len(), bytes));
        }
    }

    /// Takes the next piece, in order.
    pub fn feed(&mut self, piece: &[u8]) -> Passage {
        self.seen += piece.len() as u64;
        if self.over {
            return Passage::Pass;
        }
        if self.seen > self.waf.bodies().upload_bytes {
            return self.end(Passage::TooLong);
        }
        if self.held > 0 {
            self.form.extend_from_slice(piece);
            self.held += piece.len();
        } else {
            self.carry.extend_from_slice(piece);
            match memchr::memmem::find(&self.carry, &self.mark) {
                None => {
                    self.let_go(self.carry.len().saturating_sub(self.mark.len() - 1));
                    return Passage::Pass;
                }
                Some(at) => {
                    self.let_go(at);
                    self.end_of_file();
                    self.held = self.carry.len();
                    self.form.append(&mut self.carry);
                }
            }
        }
        if self.held <= self.judge_at {
            return Passage::Hold;
        }
        // The last judgement was of more than twice the limit, and it was no file's bytes that came.
        if self.judge_at > 2 * self.limit.max_bytes || self.rounds == ROUNDS {
            return self.end(Passage::TooLong);
        }
        Passage::Judge
    }

    /// A limit is passed: the end, or the end of inspection.
    fn end(&mut self, passage: Passage) -> Passage {
        if self.limit.over == OverLimit::InspectPrefix {
            self.over = true;
            return Passage::Judge;
        }
        passage
    }

    /// Judges the form so far; `complete`: whether it has ended. Whether what is held may go on; if it may not, it is
    /// not yet a file's bytes that are coming.
    pub fn judge(&mut self, complete: bool) -> Result<bool, Box<Refused>> {
        let exchange = &self.origin.exchange;
        let mut transaction = Transaction::begin(
            self.waf.engine.clone(),
            &self.origin.connection,
            &self.head,
            exchange.time_ms,
            &exchange.reference,
        );
        let mut interruption = transaction.request_headers();
        transaction.request_body_feed(&self.form);
        for (at, bytes) in &self.passed {
            transaction.file_bytes_passed(*at, *bytes);
        }
        let open = transaction.open_upload().is_some_and(|bytes| bytes >= self.mark.len());
        if interruption.is_none() && !complete && !open && !self.over {
            // Pieces may be single bytes: not every one of them is worth reading the form again.
            self.judge_at = self.held + self.limit.max_bytes / LOOKS;
            return Ok(false);
        }
        self.rounds += 1;
        interruption = interruption.or_else(|| transaction.request_body(complete && !self.over));
        if let Some(interruption) = interruption {
            let judgement = self.judgement.clone();
            return Err(refused(&self.waf, interruption, transaction, judgement, Reason::WafRequest));
        }
        self.found =
            Some(Found { matches: transaction.matches().to_vec(), audit: transaction.audit_trail() });
        self.pass_on();
        Ok(true)
    }

    /// What the last judgement found in the form so far, where it refused nothing.
    pub fn take_found(&mut self) -> Option<Found> {
        self.found.take()
    }

    /// Bytes that are kept to be judged again.
    pub fn kept(&self) -> usize {
        self.form.len() + self.carry.len()
    }

    /// The refusal of a form that is too long.
    pub fn refuse(&self) -> Box<Refused> {
        let text = format!(
            "the form is longer than {} bytes, or holds more than {} bytes that are no file's",
            self.waf.bodies().upload_bytes,
            self.limit.max_bytes
        );
        let denial = Denial::new(Reason::BodyTooLarge, None, text);
        Box::new(Refused { denial, answer: Answer::Status, judgement: self.judgement.clone() })
    }
}
