//! What is measured: the floors and the server, started fresh for each measurement.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Fallible;
use crate::generator::Dialect;
use crate::options::FloorSending;
use crate::peers::{Peer, Start};
use crate::process::{Server, on_core};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// Events the fan-out floor keeps per channel when clients are to come back.
const FLOOR_KEEPS: usize = 20_000;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The bare SSE loop.
    FloorSse,
    /// The bare SSE loop, ten events in a write.
    FloorTens,
    /// The bare SSE loop by io_uring.
    FloorRing,
    /// The bare HTTP echo.
    FloorEcho,
    /// The bare HTTP echo that syncs first.
    FloorEchoSync,
    /// The server with the memory engine.
    Memory,
    /// The server with its log, acknowledging when the operating system has the event.
    Os,
    /// The server with its log, acknowledging when the disk has the event.
    Fsync,
    /// Another server.
    Peer(Peer),
}

/// Where things are and which cores they run on.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The server's program.
    pub(crate) bongsu: PathBuf,
    /// The directory under which servers get theirs.
    pub(crate) dir: PathBuf,
    /// The core of servers and the core of the generator.
    pub(crate) cores: [usize; 2],
}

/// A server that runs, with its directory.
pub(crate) struct Running {
    /// The process.
    pub(crate) server: Server,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    dialect: Dialect,
    /// Removed with the server, after it: fields are dropped in this order.
    dir: TempDir,
}

impl Target {
    /// Its name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FloorSse => "floor sse",
            Self::FloorTens => "floor sse x10",
            Self::FloorRing => "floor sse io_uring",
            Self::FloorEcho => "floor echo",
            Self::FloorEchoSync => "floor echo+sync",
            Self::Memory => "bongsu memory",
            Self::Os => "bongsu os",
            Self::Fsync => "bongsu fsync",
            Self::Peer(Peer::Nchan) => "nchan",
            Self::Peer(Peer::Uws) => "uws (bun)",
            Self::Peer(Peer::Ws) => "ws (node)",
        }
    }

    /// The server with the engine and durability of a name on the command line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "memory" => Ok(Self::Memory),
            "os" => Ok(Self::Os),
            "fsync" => Ok(Self::Fsync),
            _ => Err("memory, or the durability of the embedded log: os or fsync".to_owned()),
        }
    }

    /// Whether its acknowledgements carry the offset.
    pub(crate) fn numbers(self) -> bool {
        !matches!(self, Self::FloorEcho | Self::FloorEchoSync | Self::Peer(_))
    }

    /// What it speaks.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Peer(Peer::Nchan) => Dialect::Nchan,
            Self::Peer(_) => Dialect::Bare,
            _ => Dialect::Bongsu,
        }
    }

    /// Whether it is a floor.
    pub(crate) fn is_floor(self) -> bool {
        matches!(self, Self::FloorSse | Self::FloorTens | Self::FloorRing | Self::FloorEcho | Self::FloorEchoSync)
    }

    /// Starts one with an empty directory.
    pub(crate) fn start(self, setting: &Setting) -> Fallible<Running> {
        self.start_in(setting, TempDir::with_prefix_in("bongsu-bench-", &setting.dir)?)
    }

    /// Starts it again on the directory of one that has ended.
    pub(crate) fn start_again(self, setting: &Setting, ended: Running) -> Fallible<Running> {
        let Running { server, dir, .. } = ended;
        drop(server);
        self.start_in(setting, dir)
    }

    fn start_in(self, setting: &Setting, dir: TempDir) -> Fallible<Running> {
        let port_file = dir.path().join("port");
        if port_file.exists() {
            std::fs::remove_file(&port_file)?;
        }
        let (command, address) = match self {
            Self::Peer(peer) => {
                let Start { command, address } = peer.start(setting.cores[0], dir.path(), &port_file)?;
                (command, address)
            }
            _ if self.is_floor() => (self.floor_command(setting, dir.path(), &port_file)?, None),
            _ => (self.bongsu_command(setting, dir.path(), &port_file)?, None),
        };
        let mut server = Server::start(command)?;
        let address = match address {
            Some(address) => server.wait_for_listener(address, READY)?,
            None => {
                let text = server.wait_for_file(&port_file, READY)?;
                text.parse().map_err(|_| format!("the port file says `{text}`, not an address"))?
            }
        };
        Ok(Running { server, address, dialect: self.dialect(), dir })
    }

    fn floor_command(self, setting: &Setting, dir: &Path, port_file: &Path) -> Fallible<Command> {
        let mut command = on_core(setting.cores[0], &std::env::current_exe()?)?;
        command.arg("floor").arg("--port-file").arg(port_file);
        match self {
            Self::FloorSse | Self::FloorTens | Self::FloorRing => {
                let sending = match self {
                    Self::FloorTens => FloorSending::Tens,
                    Self::FloorRing => FloorSending::Ring,
                    _ => FloorSending::Each,
                };
                command.arg("sse").args(["--keep", &FLOOR_KEEPS.to_string(), "--sending", sending.name()])
            }
            Self::FloorEcho => command.arg("echo"),
            _ => command.arg("echo").arg("--sync").arg(dir.join("log")),
        };
        Ok(command)
    }

    fn bongsu_command(self, setting: &Setting, dir: &Path, port_file: &Path) -> Fallible<Command> {
        let mut command = on_core(setting.cores[0], &setting.bongsu)?;
        let config = dir.join("bongsu.toml");
        std::fs::write(&config, self.config())?;
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "warn"]);
        command.arg("--config").arg(config).arg("--port-file").arg(port_file);
        command.arg("--data-dir").arg(dir.join("data"));
        if self == Self::Memory {
            command.args(["--engine", "memory"]);
        }
        Ok(command)
    }

    fn config(self) -> &'static str {
        match self {
            Self::Os => "[storage]\ndurability = \"os\"\n",
            Self::Fsync => "[storage]\ndurability = \"fsync\"\n",
            _ => "",
        }
    }
}

impl Running {
    /// Waits until the server has so many subscribers, where it does not say so to each of them. Nchan tells the number;
    /// the scripts have subscribed a client when they answer it.
    pub(crate) fn wait_for_subscribers(&self, count: usize, time: Duration) -> Fallible<()> {
        self.wait_for_count(time, &format!("{count} subscribers"), |found| found >= count)
    }

    /// Waits until the server has noticed that all have gone, where it can be asked.
    pub(crate) fn wait_for_nobody(&self, time: Duration) -> Fallible<()> {
        self.wait_for_count(time, "no subscribers any more", |found| found == 0)
    }

    fn wait_for_count(&self, time: Duration, what: &str, enough: impl Fn(usize) -> bool) -> Fallible<()> {
        let deadline = Instant::now() + time;
        while self.dialect == Dialect::Nchan && !enough(nchan_subscribers(self.address)?) {
            if Instant::now() > deadline {
                return Err(format!("Nchan did not have {what} within {} s", time.as_secs()).into());
            }
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// The line `subscribers: 7` of Nchan's status page.
fn nchan_subscribers(address: SocketAddr) -> Fallible<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let line = text.lines().find_map(|line| line.strip_prefix("subscribers: "));
    Ok(line.and_then(|count| count.trim().parse().ok()).ok_or("Nchan's status page tells no subscribers")?)
}

/// The server's program: what `BONGSU_BIN` names, else a release build of this workspace.
pub(crate) fn bongsu_program() -> Fallible<PathBuf> {
    if let Some(path) = std::env::var_os("BONGSU_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("BONGSU_BIN: there is no {}", path.display()).into())
        };
    }
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).ok_or("the bench lies in a target directory of cargo")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "bongsu-cli", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err("the server cannot be built: see above, or name a program in BONGSU_BIN".into());
    }
    Ok(target.join("release").join("bongsu"))
}
