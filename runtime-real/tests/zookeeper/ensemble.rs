//! Three real servers on this machine, each with a way of its own that can be cut.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::contract::coordination::{ServerFault, Servers};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::{Address, BoxFuture, Runtime};
use orrery_zookeeper::ZooKeeper;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::proxy::Proxy;

/// Sessions last between 2 and 20 ticks.
const TICK_MILLISECONDS: u64 = 200;
const CLASS: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// Of Debian's package `zookeeper`.
const CLASS_PATH: &str = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar";

/// An ensemble of three servers.
pub struct Ensemble {
    runtime: Runtime,
    folder: TempDir,
    servers: Vec<Server>,
}

struct Server {
    client: SocketAddr,
    proxy: Proxy,
    process: Option<Child>,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Ensemble {
    /// Starts the servers and waits until they answer.
    pub async fn start(runtime: &Runtime) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ports: Vec<[u16; 3]> = (0..3).map(|_| std::array::from_fn(|_| free_port())).collect();
        let mut servers = Vec::new();
        for (index, [client, ..]) in ports.iter().enumerate() {
            configure(&folder.path().join(index.to_string()), index, &ports);
            let client = SocketAddr::from(([127, 0, 0, 1], *client));
            servers.push(Server { client, proxy: Proxy::start(client).await, process: None });
        }
        let mut ensemble = Self { runtime: runtime.clone(), folder, servers };
        ensemble.mend().await;
        ensemble
    }

    fn launch(&mut self, index: usize) {
        let folder = self.folder.path().join(index.to_string());
        let log = fs::File::create(folder.join("log")).expect("a log");
        let process = Command::new("java")
            // A small heap and a quick start: three of them beside all other tests.
            .args(["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dzookeeper.log.dir={}", folder.display()))
            .args(["-cp", CLASS_PATH, CLASS])
            .arg(folder.join("zoo.cfg"))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn();
        let process = process.expect("java starts: is Debian's package zookeeper installed?");
        self.servers[index].process = Some(process);
    }

    fn signal(&self, index: usize, signal: Signal) {
        if let Some(process) = &self.servers[index].process {
            kill_process(Pid::from_child(process), signal).expect("it lives");
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(mut process) = self.servers[index].process.take() {
            process.kill().expect("it lives");
            process.wait().expect("it is our child");
        }
    }

    /// What a server says it is; nothing while it does not serve.
    async fn mode(&self, index: usize) -> Option<String> {
        let asked = async {
            let mut stream = TcpStream::connect(self.servers[index].client).await.ok()?;
            stream.write_all(b"srvr").await.ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.ok()?;
            Some(text.lines().find_map(|line| line.strip_prefix("Mode: "))?.to_owned())
        };
        tokio::time::timeout(Duration::from_secs(1), asked).await.ok().flatten()
    }
}

/// Writes a server's files.
fn configure(folder: &Path, index: usize, ports: &[[u16; 3]]) {
    fs::create_dir(folder).expect("makes a folder");
    fs::write(folder.join("myid"), format!("{index}")).expect("writes");
    let mut text = format!(
        "tickTime={TICK_MILLISECONDS}\ninitLimit=25\nsyncLimit=10\nforceSync=no\n\
         maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n\
         clientPortAddress=127.0.0.1\nclientPort={}\ndataDir={}\n",
        ports[index][0],
        folder.display()
    );
    for (index, [_, quorum, election]) in ports.iter().enumerate() {
        text += &format!("server.{index}=127.0.0.1:{quorum}:{election}\n");
    }
    fs::write(folder.join("zoo.cfg"), text).expect("writes");
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for index in 0..self.servers.len() {
            self.kill(index);
        }
    }
}

impl Servers for Ensemble {
    fn addresses(&self) -> Vec<Address> {
        self.servers.iter().map(|server| Address::from(server.proxy.address)).collect()
    }

    fn outside(&self) -> (Runtime, Arc<dyn Coordination>, Vec<Address>) {
        let client = Arc::new(ZooKeeper::new(self.runtime.clone()));
        let addresses = self.servers.iter().map(|server| Address::from(server.client)).collect();
        (self.runtime.clone(), client, addresses)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn inject(&mut self, fault: ServerFault) -> BoxFuture<'_, ()> {
        match fault {
            ServerFault::Kill(server) => self.kill(server),
            ServerFault::Stop(server) => self.signal(server, Signal::STOP),
            ServerFault::Cut(server) => self.servers[server].proxy.cut(true),
        }
        Box::pin(std::future::ready(()))
    }

    fn mend(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for index in 0..self.servers.len() {
                self.servers[index].proxy.cut(false);
                match &self.servers[index].process {
                    Some(_) => self.signal(index, Signal::CONT),
                    None => self.launch(index),
                }
            }
            for _ in 0..600 {
                let mut modes = Vec::new();
                for index in 0..self.servers.len() {
                    modes.extend(self.mode(index).await);
                }
                let leads = modes.iter().any(|mode| mode == "leader");
                if leads && modes.len() == self.servers.len() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let logs = (0..self.servers.len()).map(|index| {
                let log = self.folder.path().join(index.to_string()).join("log");
                fs::read_to_string(log).unwrap_or_default()
            });
            panic!("the ensemble does not serve:\n{}", logs.collect::<Vec<_>>().join("\n"));
        })
    }
}
