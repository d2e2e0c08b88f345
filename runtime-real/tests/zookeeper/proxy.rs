//! A way to a server that can be cut silently: nothing travels, and no end is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often a cut way looks whether it is whole again.
const PAUSE: Duration = Duration::from_millis(5);

/// A way to one server.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    /// A way to `server`, at a port of the system's choice.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let cut = Arc::new(AtomicBool::new(false));
        let way = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, Arc::clone(&way)));
            }
        });
        Self { address, cut }
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

async fn carry(client: TcpStream, server: SocketAddr, cut: Arc<AtomicBool>) {
    whole(&cut).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::select! {
        () = pipe(&mut from_client, &mut to_server, &cut) => {}
        () = pipe(&mut from_server, &mut to_client, &cut) => {}
    }
    // An end is not told of as long as the way is cut.
    whole(&cut).await;
}

async fn pipe(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    cut: &AtomicBool,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        whole(cut).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn whole(cut: &AtomicBool) {
    while cut.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
    }
}
