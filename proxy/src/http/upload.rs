//! A form with long files on its way to the upstream: the files pass, everything else waits for its verdict.
//!
//! Promises: what the judge holds is not sent before it is permitted; the end of the form is never sent before the last
//! verdict, so that a refused form is a broken request for the upstream; judging does not stop other requests. What is
//! held, by the judge too, counts in the process's budget as long as it is held.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use palisade_rules::Refused;
use palisade_rules::upload::{Passage, Upload};
use tokio::task::{JoinError, JoinSet};

use super::BodyFault;
use super::body::{Progress, Timed};
use crate::deny::{Limit, Refusal};
use crate::judging::Judging;
use crate::limits::Hold;

type Judged = (Box<Upload>, Result<bool, Box<Refused>>);
type Piece = Option<Result<Frame<Bytes>, BodyFault>>;

/// The body of such a form.
#[derive(Debug)]
pub struct UploadBody {
    timed: Timed,
    progress: Arc<Progress>,
    /// None while it judges, and after the end.
    upload: Option<Box<Upload>>,
    /// The judgement under way: at most one, and none when the body is dropped.
    judging: JoinSet<Result<Judged, JoinError>>,
    turns: Arc<Judging>,
    /// Came before the rest and was not judged yet.
    behind: Bytes,
    /// Permitted, to be sent next.
    permitted: VecDeque<Bytes>,
    /// Waiting for their verdict.
    held: VecDeque<Bytes>,
    /// Bytes of both.
    waiting: usize,
    /// Bytes that the judge keeps.
    kept: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    budget: Budget,
}

/// A share of the bytes that the process may hold.
#[derive(Debug)]
pub struct Budget {
    /// What is held of it.
    pub hold: Hold,
    /// What all may hold.
    pub bound: usize,
}

impl UploadBody {
    /// `first` is permitted; `upload` judges what follows, which is `behind` and then the rest.
    pub fn new(
        first: VecDeque<Bytes>,
        behind: Bytes,
        timed: Timed,
        upload: Box<Upload>,
        budget: Budget,
        turns: Arc<Judging>,
    ) -> Self {
        timed.progress().begin_judging();
        Self {
            waiting: first.iter().map(Bytes::len).sum(),
            kept: 0,
            progress: timed.progress().clone(),
            timed,
            upload: Some(upload),
            judging: JoinSet::new(),
            turns,
            behind,
            permitted: first,
            held: VecDeque::new(),
            trailers: None,
            ended: false,
            budget,
        }
    }

    /// The next piece that may be sent.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Some(piece) = self.permitted.pop_front() {
                self.waiting = self.waiting.saturating_sub(piece.len());
                return Poll::Ready(Some(self.account().map(|()| Frame::data(piece))));
            }
            if let Some(judged) = ready!(self.judging.poll_join_next(cx)) {
                if let Err(fault) = self.judged(judged.and_then(|judged| judged)) {
                    return Poll::Ready(Some(Err(fault)));
                }
                continue;
            }
            let Some(upload) = &mut self.upload else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if self.behind.is_empty() && self.timed.is_end() {
                self.finish();
                continue;
            }
            let behind = std::mem::take(&mut self.behind);
            let polled = match behind.is_empty() {
                true => ready!(self.timed.poll_piece(cx)),
                false => Some(Ok(Frame::data(behind))),
            };
            let frame = match polled {
                None => {
                    self.finish();
                    continue;
                }
                Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
                Some(Ok(frame)) => frame,
            };
            let piece = match frame.into_data() {
                Ok(piece) => piece,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    self.finish();
                    continue;
                }
            };
            let passage = upload.feed(&piece);
            match passage {
                Passage::Pass => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Passage::Hold | Passage::Judge => {
                    self.waiting += piece.len();
                    self.held.push_back(piece);
                }
                Passage::TooLong => {
                    let refused = upload.refuse();
                    return Poll::Ready(Some(Err(self.refuse(Refusal::Denied(refused)))));
                }
            }
            if let Err(fault) = self.account() {
                return Poll::Ready(Some(Err(fault)));
            }
            if passage == Passage::Judge {
                self.judge(false);
            }
        }
    }

    /// Takes what is held now from the process's budget, and gives back what is not any more.
    fn account(&mut self) -> Result<(), BodyFault> {
        if let Some(upload) = &self.upload {
            self.kept = upload.kept();
        }
        if self.budget.hold.set(self.waiting + self.kept, self.budget.bound) {
            return Ok(());
        }
        Err(self.refuse(Limit::BufferedBytes.into()))
    }

    /// The client's body is over: the last verdict.
    fn finish(&mut self) {
        self.ended = true;
        self.judge(true);
    }

    fn judge(&mut self, complete: bool) {
        if let Some(mut upload) = self.upload.take() {
            let turns = self.turns.clone();
            self.judging.spawn(async move {
                let judge = move || {
                    let verdict = upload.judge(complete);
                    (upload, verdict)
                };
                turns.run(judge).await
            });
        }
    }

    fn judged(&mut self, judged: Result<Judged, JoinError>) -> Result<(), BodyFault> {
        let (mut upload, verdict) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                tracing::error!(%error, "a form could not be judged");
                return Err(self.refuse(Limit::BufferedBytes.into()));
            }
        };
        match verdict {
            Ok(true) => self.permitted.append(&mut self.held),
            Ok(false) => {}
            Err(refused) => return Err(self.refuse(Refusal::Denied(refused))),
        }
        if let Some(found) = upload.take_found() {
            self.progress.note_found(found);
        }
        self.upload = (!self.ended).then_some(upload);
        if self.ended {
            self.kept = 0;
        }
        self.account()
    }

    fn refuse(&mut self, refusal: Refusal) -> BodyFault {
        self.held.clear();
        self.permitted.clear();
        self.upload = None;
        self.progress.refuse(refusal);
        BodyFault::Refused
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        self.progress.end_judging();
    }
}
