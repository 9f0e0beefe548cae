//! A way to the server that can be cut, or fall silent as a network does when a cable is pulled.

use std::net::SocketAddr;

use bongsu_client::{Client, ClientBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Bytes go both ways.
    Fair,
    /// Connections stand, and new ones are accepted, but no byte goes any way.
    Silent,
    /// Connections are closed, and new ones too.
    Cut,
}

/// Forwards connections to a server. Dropping it ends them.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    /// How many connections were accepted.
    accepted: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (weather, now) = watch::channel(Weather::Fair);
        let (count, accepted) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                tokio::spawn(forward(client, port, now.clone()));
            }
        });
        Self { address, weather, accepted, task }
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("an address")
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(&format!("http://{}", self.address))
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Lets no byte through any more.
    pub(crate) fn fall_silent(&self) {
        self.weather.send_replace(Weather::Silent);
    }

    /// Closes all connections, and every new one at once.
    pub(crate) fn cut(&self) {
        self.weather.send_replace(Weather::Cut);
    }

    /// Forwards new connections. Those that were silent stay so.
    pub(crate) fn mend(&self) {
        self.weather.send_replace(Weather::Fair);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn forward(mut client: TcpStream, port: u16, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Fair
        && let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await
    {
        let changed = weather.clone();
        tokio::select! {
            () = copy(&mut client, &mut server) => return,
            () = no_longer_fair(changed) => {}
        }
        // The server keeps its end, as it would if a cable were pulled.
        if *weather.borrow() == Weather::Silent {
            let _ = weather.wait_for(|weather| *weather == Weather::Cut).await;
        }
    } else if *weather.borrow() == Weather::Silent {
        let _ = weather.wait_for(|weather| *weather == Weather::Cut).await;
    }
}

async fn no_longer_fair(mut weather: watch::Receiver<Weather>) {
    let _ = weather.wait_for(|weather| *weather != Weather::Fair).await;
}

async fn copy(client: &mut TcpStream, server: &mut TcpStream) {
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let copied = tokio::select! {
            read = client.read(&mut up) => pass(read, &up, server).await,
            read = server.read(&mut down) => pass(read, &down, client).await,
        };
        if !copied {
            return;
        }
    }
}

/// False when the connection is over.
async fn pass(read: std::io::Result<usize>, bytes: &[u8], to: &mut TcpStream) -> bool {
    match read {
        Ok(count @ 1..) => to.write_all(&bytes[..count]).await.is_ok(),
        _ => false,
    }
}
