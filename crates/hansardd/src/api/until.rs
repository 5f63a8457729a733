//! An answer that ends when whoever asked may not have it any more: a stream is no door that stays open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body, and what says that it is over. It is cut then, so that nobody takes it for whole.
pub(crate) struct Until<F> {
    body: Body,
    over: F,
}

impl<F: FnMut(&mut Context<'_>, bool) -> bool + Unpin> Until<F> {
    /// `over` is asked at each look at the body, with whether there is a piece. It need not be asked again
    /// after it said yes.
    pub(crate) fn new(body: Body, over: F) -> Self {
        Self { body, over }
    }
}

impl<F: FnMut(&mut Context<'_>, bool) -> bool + Unpin> HttpBody for Until<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let is_piece = matches!(polled, Poll::Ready(Some(Ok(_))));
        let is_going = is_piece || polled.is_pending();
        if is_going && (self.over)(context, is_piece) {
            let over = io::Error::other("whoever asked may not have it any more");
            return Poll::Ready(Some(Err(axum::Error::new(over))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
