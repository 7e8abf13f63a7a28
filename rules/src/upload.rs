//! The rest of a form that is longer than what is held, because it has files.
//!
//! A file's bytes go on as they come. From the next boundary on bytes are held again, until everything but the files was
//! judged once more, as one form: a new transaction reads what was held so far. So nothing but the bytes of files reaches
//! the upstream unjudged, and the end of a form never does. Where a file holds what some reader could take for a boundary
//! ([`Stray`](palisade_waf::bodies::multipart::Stray)) the form is malformed, as it would be if it were held whole: what
//! was found goes to the same reader. Memory is bounded by [`ROUNDS`] times the policy's limit.

use palisade_model::documents::{BodyLimit, OverLimit};
use palisade_model::{Connection, Denial, Reason, RequestHead};
use palisade_waf::Transaction;
use palisade_waf::bodies::multipart::{Delimiter, Passing};

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
    /// The watch over the file that passes.
    passing: Passing,
    /// The form as far as it was judged or is held, without most bytes of long files.
    form: Vec<u8>,
    /// Bytes on hold; 0 while a file passes.
    held: usize,
    /// Bytes on hold from which on they are judged.
    judge_at: usize,
    /// Where in `form` bytes of a file are missing, and how many.
    passed: Vec<(usize, u64)>,
    seen: u64,
    rounds: usize,
    /// The policy inspects the first part, and that was it; or the form is malformed and nobody minds.
    over: bool,
    /// What the last judgement found.
    found: Option<Found>,
}

impl Upload {
    /// Goes on behind `form`, which ends `open` bytes into a file, at least a [mark](Passing::mark)'s length.
    pub(crate) fn new(
        origin: Origin,
        head: RequestHead,
        waf: Waf,
        judgement: Judgement,
        form: Vec<u8>,
        (delimiter, open): (Delimiter, usize),
    ) -> Self {
        let (limit, seen) = (waf.request_limit(), form.len() as u64);
        let mut upload = Self {
            origin,
            head,
            waf,
            judgement,
            limit,
            passing: Passing::new(delimiter),
            form,
            held: 0,
            judge_at: limit.max_bytes,
            passed: Vec::new(),
            seen,
            rounds: 0,
            over: false,
            found: None,
        };
        upload.pass_on(open);
        upload
    }

    /// From here on the file passes whose first bytes, so many, end the form.
    fn pass_on(&mut self, open: usize) {
        self.passing.begin(&mut self.form, open);
        self.held = 0;
        self.judge_at = self.limit.max_bytes;
    }

    /// The file that passed has ended.
    fn end_of_file(&mut self) {
        let rest = self.passing.end();
        if rest.gone > 0 {
            self.passed.push((self.form.len(), rest.gone));
        }
        self.held = rest.kept.len();
        self.form.extend(rest.kept);
    }

    /// Takes the next piece, in order.
    pub fn feed(&mut self, piece: &[u8]) -> Passage {
        self.seen += piece.len() as u64;
        if self.seen > self.waf.bodies().upload_bytes && !(self.over && self.inspects_prefix()) {
            return self.end(Passage::TooLong);
        }
        if self.over {
            return Passage::Pass;
        }
        if self.held > 0 {
            self.form.extend_from_slice(piece);
            self.held += piece.len();
        } else {
            match self.passing.feed(piece) {
                None => return Passage::Pass,
                Some(found) => {
                    self.end_of_file();
                    if found.stray.is_some() {
                        return Passage::Judge;
                    }
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
        if self.inspects_prefix() {
            self.over = true;
            return Passage::Judge;
        }
        passage
    }

    fn inspects_prefix(&self) -> bool {
        self.limit.over == OverLimit::InspectPrefix
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
        let open = transaction.open_upload().filter(|bytes| *bytes >= self.passing.mark());
        // Nothing that follows would mend it.
        let malformed = open.is_none() && transaction.upload_is_malformed();
        if interruption.is_none() && !complete && open.is_none() && !malformed && !self.over {
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
        match open {
            Some(open) => self.pass_on(open),
            // The rules let malformed forms pass, or nothing is refused.
            None => self.over |= malformed,
        }
        Ok(true)
    }

    /// What the last judgement found in the form so far, where it refused nothing.
    pub fn take_found(&mut self) -> Option<Found> {
        self.found.take()
    }

    /// Bytes that are kept to be judged again.
    pub fn kept(&self) -> usize {
        self.form.len() + self.passing.kept()
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
