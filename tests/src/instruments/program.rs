//! A program that runs somewhere else, as its client sees it: bytes in, bytes out, an exit status. It
//! is the same for all who count or measure, whichever way the program runs.

use std::future::Future;

use anyhow::{Context, Result, bail};
use bytes::Bytes;

/// A program's stdin.
pub trait Input: Send {
    /// Sends bytes; waits while nobody takes them.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Says that there are no more.
    fn end(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// What a program says, and how it ends.
pub trait Output: Send {
    /// The next bytes, of stdout and of stderr alike; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// The exit status, if one came before the end.
    fn status(&self) -> Option<u32>;
}

/// A program that runs. What becomes of it on drop is its connection's affair.
pub struct Program<I, O> {
    /// Its stdin.
    pub input: I,
    /// Its output.
    pub output: O,
}

impl<I: Input, O: Output> Program<I, O> {
    /// Waits for words and gives all that came with them.
    ///
    /// # Errors
    /// When the program ends without them; with what it said.
    pub async fn until(&mut self, words: &str) -> Result<String> {
        let mut seen = Vec::new();
        while let Some(bytes) = self.output.next().await? {
            seen.extend_from_slice(&bytes);
            let text = String::from_utf8_lossy(&seen);
            if text.contains(words) {
                return Ok(text.into_owned());
            }
        }
        bail!("no {words:?} in {:?}", String::from_utf8_lossy(&seen))
    }

    /// Waits for the program's end; gives what it said, and its exit status.
    ///
    /// # Errors
    /// When it ends without a status.
    pub async fn wait(mut self) -> Result<(Vec<u8>, u32)> {
        let mut said = Vec::new();
        while let Some(bytes) = self.output.next().await? {
            said.extend_from_slice(&bytes);
        }
        let status = self.output.status().with_context(|| {
            let said = String::from_utf8_lossy(&said);
            format!("it ended without a status, and said {said:?}")
        })?;
        Ok((said, status))
    }
}
