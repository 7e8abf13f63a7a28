//! A form with long files on its way to the upstream: the files pass, everything else waits for its verdict.
//!
//! Promises: what the judge holds is not sent before it is permitted; the end of the form is never sent before the last
//! verdict, so that a refused form is a broken request for the upstream; judging does not stop other requests.

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
    /// Permitted, to be sent next.
    permitted: VecDeque<Bytes>,
    /// Waiting for their verdict.
    held: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// The budget's share, given back at the end.
    _hold: Option<Hold>,
}

impl UploadBody {
    /// `first` is permitted; `upload` judges what follows.
    pub fn new(
        first: VecDeque<Bytes>,
        timed: Timed,
        upload: Box<Upload>,
        hold: Option<Hold>,
        turns: Arc<Judging>,
    ) -> Self {
        Self {
            progress: timed.progress().clone(),
            timed,
            upload: Some(upload),
            judging: JoinSet::new(),
            turns,
            permitted: first,
            held: VecDeque::new(),
            trailers: None,
            ended: false,
            _hold: hold,
        }
    }

    /// The next piece that may be sent.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Some(piece) = self.permitted.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
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
            let frame = match ready!(self.timed.poll_piece(cx)) {
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
            match upload.feed(&piece) {
                Passage::Pass => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Passage::Hold => self.held.push_back(piece),
                Passage::Judge => {
                    self.held.push_back(piece);
                    self.judge(false);
                }
                Passage::TooLong => {
                    let refused = upload.refuse();
                    return Poll::Ready(Some(Err(self.refuse(refused))));
                }
            }
        }
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
        let (upload, verdict) = judged.map_err(|error| {
            tracing::error!(%error, "a form could not be judged");
            BodyFault::Refused
        })?;
        match verdict {
            Ok(true) => self.permitted.append(&mut self.held),
            Ok(false) => {}
            Err(refused) => return Err(self.refuse(refused)),
        }
        self.upload = (!self.ended).then_some(upload);
        Ok(())
    }

    fn refuse(&mut self, refused: Box<Refused>) -> BodyFault {
        self.held.clear();
        self.upload = None;
        self.progress.refuse(refused);
        BodyFault::Refused
    }
}
