//! Bounds the size of the API server's answers. The client holds an answer in memory before it parses
//! it, and tenants decide how large their objects are. In a watch, each event is bounded.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{BoxError, Layer, Service};

/// Bytes of an answer, and of one event of a watch. An object has at most 1.5 MiB in etcd, by default.
const MOST: usize = 8 * 1024 * 1024;

/// An answer has more bytes than this client takes.
#[derive(Debug, thiserror::Error)]
#[error("the API server's answer is larger than {MOST} bytes")]
struct TooLarge;

/// Whether an answer was too large to be read.
pub fn is_too_large(error: &kube::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<TooLarge>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Puts a bound on all answers of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoundLayer;

impl<S> Layer<S> for BoundLayer {
    type Service = Bound<S>;

    fn layer(&self, inner: S) -> Bound<S> {
        Bound(inner)
    }
}

/// A service whose answers are bounded.
#[derive(Debug, Clone)]
pub(super) struct Bound<S>(S);

type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<Bounded<B>>, E>> + Send>>;

impl<S, Q, B> Service<Request<Q>> for Bound<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Bounded<B>>;
    type Error = S::Error;
    type Future = Answer<B, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let by_line = query.split('&').any(|part| part == "watch=true");
        let answer = self.0.call(request);
        Box::pin(async move {
            let bounded = |body| Bounded {
                body,
                by_line,
                taken: 0,
            };
            Ok(answer.await?.map(bounded))
        })
    }
}

/// A body that fails once it is too large.
#[derive(Debug)]
pub(super) struct Bounded<B> {
    body: B,
    /// Whether each line is bounded, instead of the whole.
    by_line: bool,
    /// Bytes so far, of the whole or of the last line.
    taken: usize,
}

impl<B> Bounded<B> {
    fn take(&mut self, data: &[u8]) -> Result<(), TooLarge> {
        let line = data.iter().rposition(|byte| *byte == b'\n');
        match line.filter(|_| self.by_line) {
            // Frames are small, so the lines that are whole in this one are, too.
            Some(end) => self.taken = data.len() - end,
            None => self.taken += data.len(),
        }
        if self.taken > MOST {
            return Err(TooLarge);
        }
        Ok(())
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let taken = frame.data_ref().map_or(Ok(()), |data| self.take(data));
        Poll::Ready(Some(taken.map(|()| frame).map_err(BoxError::from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded_as_a_whole_and_a_watch_line_by_line() {
        let check = |by_line: bool, frames: &[&str], expect: bool| {
            let mut bounded = Bounded {
                body: (),
                by_line,
                taken: 0,
            };
            let piece = "x".repeat(MOST / 2 - 1);
            let taken = frames
                .iter()
                .all(|frame| bounded.take(frame.replace('x', &piece).as_bytes()).is_ok());
            assert_eq!(taken, expect, "{by_line} {frames:?}");
        };
        check(false, &["x", "x"], true);
        check(false, &["x", "x", "x"], false);
        check(false, &["x\n", "x\n", "x\n"], false);
        check(true, &["x\n", "x\n", "x\n"], true);
        check(true, &["x", "x", "\nx", "x\n"], true);
        check(true, &["x", "x", "x\n"], true);
        check(true, &["x", "x", "x"], false);
    }

    #[test]
    fn the_error_is_found_among_its_causes() {
        let error = kube::Error::Service(TooLarge.into());
        assert!(is_too_large(&error));
        let error = kube::Error::ReadEvents(std::io::Error::other(error));
        assert!(is_too_large(&error));
        assert!(!is_too_large(&kube::Error::LinesCodecMaxLineLengthExceeded));
    }
}
