//! Reading a stream line by line, whatever bytes it has.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Where lines go, one by one as they come.
pub type LineSink<'a> = &'a mut (dyn for<'line> FnMut(&'line str) + Send);

/// Gives each line of `stream` to `on_line`, without its end; bytes that are no UTF-8 become replacement characters.
pub async fn for_each_line(stream: impl AsyncRead + Unpin, on_line: LineSink<'_>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
    Ok(())
}
