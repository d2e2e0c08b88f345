//! What an operator does: calls of the operator API, as a client outside makes them.

use orrery_runtime::{Address, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Ends a framework. True when the master took the call.
pub(crate) async fn tear_down(runtime: Runtime, master: Address, framework_id: &str) -> bool {
    let body = format!(
        r#"{{"type":"TEARDOWN","teardown":{{"framework_id":{{"value":"{framework_id}"}}}}}}"#
    );
    let request = format!(
        "POST /api/v1 HTTP/1.1\r\nHost: {master}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let Ok(mut connection) = runtime.network.connect(&master).await else { return false };
    let mut answer = Vec::new();
    let exchanged = async {
        connection.stream.write_all(request.as_bytes()).await?;
        connection.stream.flush().await?;
        connection.stream.read_to_end(&mut answer).await
    };
    exchanged.await.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}
