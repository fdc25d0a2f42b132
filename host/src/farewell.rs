//! The end of a connection with a client that may still be sending.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Says the last words, and that nothing more comes, and waits for the client to see it, for so long and so many further bytes at most: closing a socket
/// with unread bytes in it resets the connection, and the client might never read its answer.
pub async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &[u8], longest: Duration, most_bytes: usize) {
    let farewell = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let (mut seen, mut left) = ([0; 2048], most_bytes);
        while let count @ 1.. = stream.read(&mut seen).await? {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong here goes wrong with a connection that is over.
    let _ = timeout(longest, farewell).await;
}
