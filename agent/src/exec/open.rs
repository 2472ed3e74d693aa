//! Opens the streams of an exec on a connection that speaks SPDY.

use std::sync::Arc;

use bytes::BytesMut;
use podgate_proto::v1::Terminal;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ending::Ending;
use super::error::Error;
use super::input::{Input, RESIZE, STDIN};
use super::output::{ERROR, Output, STDERR, STDOUT};
use super::window::Window;
use crate::streams::Input as _;

/// Opens the streams of an exec, and tells a terminal's size. `bytes` has come on the connection
/// already.
pub(crate) async fn open(
    connection: impl AsyncRead + AsyncWrite + Send + Sync + 'static,
    bytes: BytesMut,
    terminal: Option<&Terminal>,
) -> Result<(Input, Output), Error> {
    let (read, write) = tokio::io::split(connection);
    let window = Arc::new(Window::new());
    let mut input = Input::new(Box::new(write), terminal, Arc::clone(&window));
    let mut output = Output::new(Box::new(read), bytes, terminal.is_some(), window);
    let fourth = match terminal {
        Some(_) => (RESIZE, "resize"),
        None => (STDERR, "stderr"),
    };
    let streams = [(ERROR, "error"), (STDIN, "stdin"), (STDOUT, "stdout")];
    let streams = [&streams[..], &[fourth]].concat();
    input.open(&streams).await?;
    // Runtimes lose data that overtakes the replies (kubernetes issue 16373).
    output.accepted(streams.len()).await?;
    if let Some(size) = terminal.and_then(|terminal| terminal.size.as_ref()) {
        input.resize(size).await?;
    }
    Ok((input, output))
}

/// Both halves of an exec whose program's end shows in this way.
pub(crate) fn ends_by(ending: Ending, input: &mut Input, output: &mut Output) {
    if let Ending::OnTerminal { answer, .. } = &ending {
        input.answer.clone_from(answer);
    }
    output.ends_by(ending);
}
