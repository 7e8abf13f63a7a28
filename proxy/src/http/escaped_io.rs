//! The bytes hyper reads of an HTTP/2 connection: targets have the bytes escaped that are escaped on HTTP/1 too.
//!
//! Promises: the usual read is neither changed nor copied; what waits for more bytes is bounded by a header block.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use palisade_http::http2::{Read, Targets};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A byte stream whose targets are read before hyper reads them.
#[derive(Debug)]
pub struct EscapedIo<S> {
    inner: S,
    targets: Targets,
    /// Bytes that wait for more: a part of a header block.
    kept: Vec<u8>,
    /// Bytes that may be read and did not fit, from `given` on.
    ready: Vec<u8>,
    given: usize,
}

impl<S> EscapedIo<S> {
    /// Reads a stream from its preface on. `header_bytes`: the limit of a head.
    pub fn new(inner: S, header_bytes: usize) -> Self {
        Self { inner, targets: Targets::new(header_bytes), kept: Vec::new(), ready: Vec::new(), given: 0 }
    }

    /// What came into `buffer` after `before`; afterwards only what may be read is in it.
    fn sort(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if self.kept.is_empty() {
            let Read { pass, instead, broken } = self.targets.feed(fresh);
            let gone = instead.as_ref().map_or(0, |(gone, _)| *gone);
            self.kept = fresh.get(pass + gone..).unwrap_or_default().to_vec();
            buffer.set_filled(before + pass);
            let Some((_, anew)) = instead else { return whole(broken) };
            self.ready = anew;
        } else {
            self.kept.extend_from_slice(fresh);
            buffer.set_filled(before);
        }
        self.feed_kept()
    }

    fn feed_kept(&mut self) -> io::Result<()> {
        loop {
            let Read { pass, instead, broken } = self.targets.feed(&self.kept);
            self.ready.extend(self.kept.drain(..pass));
            let Some((gone, anew)) = instead else { return whole(broken) };
            self.kept.drain(..gone);
            self.ready.extend(anew);
        }
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let ready = self.ready.get(self.given..).unwrap_or_default();
        let bytes = ready.get(..buffer.remaining()).unwrap_or(ready);
        buffer.put_slice(bytes);
        self.given += bytes.len();
        if self.given == self.ready.len() {
            self.ready = Vec::new();
            self.given = 0;
        }
    }
}

fn whole(broken: bool) -> io::Result<()> {
    if broken { Err(ErrorKind::InvalidData.into()) } else { Ok(()) }
}

impl<S: AsyncRead + Unpin> AsyncRead for EscapedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            this.give(buffer);
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.sort(buffer, before)?;
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for EscapedIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
