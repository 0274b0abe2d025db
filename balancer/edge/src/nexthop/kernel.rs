//! A connection for questions to the kernel.

use futures::{Stream, StreamExt};
use rtnetlink::Handle;

use super::NextHopError;

/// Opens a connection in the calling thread's network namespace; it closes when the last clone of the handle is gone.
pub(crate) fn connect() -> Result<Handle, NextHopError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|source| NextHopError::Open { source })?;
    tokio::spawn(connection);
    Ok(handle)
}

/// The one answer to a question about one object; an answer that ends without any is an error.
pub(crate) async fn single<T>(
    what: &'static str,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<T, NextHopError> {
    let mut answers = std::pin::pin!(answers);
    match answers.next().await {
        Some(answer) => answer.map_err(|error| NextHopError::from_rtnetlink(what, error)),
        None => Err(NextHopError::NoAnswer {
            what,
            reason: "it ended early".to_owned(),
        }),
    }
}

/// Every answer to a question about all objects.
pub(crate) async fn all<T>(
    what: &'static str,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, NextHopError> {
    let answers: Vec<_> = answers.collect().await;
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| NextHopError::from_rtnetlink(what, error)))
        .collect()
}
