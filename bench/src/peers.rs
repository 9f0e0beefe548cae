//! Other servers that the same is asked of: which there are, where their programs lie, how they are started.
//!
//! Nothing of them is in this repository but their configuration. A peer that is not installed is told with the command
//! that installs it. This must not know what is measured.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Fallible;
use crate::generator::Way;
use crate::process::on_core;

const NGINX_CONF: &str = include_str!("../peers/nginx.conf");
const UWS_SCRIPT: &str = include_str!("../peers/uws.mjs");
const WS_SCRIPT: &str = include_str!("../peers/ws.mjs");
/// Where distributions put nginx and its modules.
const NGINX: [&str; 2] = ["/usr/sbin/nginx", "/usr/bin/nginx"];
const NCHAN: [&str; 2] = ["/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/share/nginx/modules/ngx_nchan_module.so"];
/// The versions of the npm packages, so that a result can be taken again.
const BUN: &str = "bun@1.3.14";
const WS: &str = "ws@8";

/// A peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Nchan in nginx, with history in memory.
    Nchan,
    /// uWebSockets as Bun ships it.
    Uws,
    /// Node with `ws`.
    Ws,
}

/// How to start a peer, and where it will listen when it does not tell itself.
pub(crate) struct Start {
    /// The command.
    pub(crate) command: Command,
    /// Where it listens; None: it writes a port file.
    pub(crate) address: Option<SocketAddr>,
}

impl Peer {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nchan => "nchan",
            Self::Uws => "uws",
            Self::Ws => "ws",
        }
    }

    /// The peer of a name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let found = [Self::Nchan, Self::Uws, Self::Ws].into_iter().find(|peer| peer.name() == text);
        found.ok_or_else(|| "a peer is nchan, uws (uWebSockets in Bun) or ws (Node with ws)".to_owned())
    }

    /// Whether it has a way of reading.
    pub(crate) fn has(self, way: Way) -> bool {
        match self {
            Self::Nchan => way != Way::Poll,
            Self::Uws => matches!(way, Way::Sse | Way::WebSocket),
            Self::Ws => way == Way::WebSocket,
        }
    }

    /// Whether a client of this way can come back with a cursor.
    pub(crate) fn resumes(self, way: Way) -> bool {
        self == Self::Nchan && matches!(way, Way::Sse | Way::WebSocket | Way::LongPoll)
    }

    /// Prepares its directory and the command that runs it on `core`.
    pub(crate) fn start(self, core: usize, dir: &Path, port_file: &Path) -> Fallible<Start> {
        match self {
            Self::Nchan => nchan(core, dir),
            Self::Uws => script(core, &cached("bun", "bun")?, UWS_SCRIPT, dir, port_file),
            Self::Ws => {
                cached("ws", "ws")?;
                let mut start = script(core, Path::new("node"), WS_SCRIPT, dir, port_file)?;
                start.command.current_dir(cache("ws")?);
                Ok(start)
            }
        }
    }
}

fn nchan(core: usize, dir: &Path) -> Fallible<Start> {
    let missing = "Nchan is not installed: `bongsu-bench peers` as root, or `apt-get install nginx libnginx-mod-nchan`";
    let first = |paths: [&'static str; 2]| paths.into_iter().find(|path| Path::new(path).exists()).ok_or(missing);
    let (nginx, module) = (first(NGINX)?, first(NCHAN)?);
    // Nothing else takes a port in the moment between.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = dir.join("nginx.conf");
    std::fs::write(&config, nginx_conf(module, &address.to_string(), dir))?;
    let mut command = on_core(core, Path::new(nginx))?;
    command.arg("-p").arg(dir).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(Start { command, address: Some(address) })
}

fn nginx_conf(module: &str, address: &str, dir: &Path) -> String {
    let text = NGINX_CONF.replace("{module}", module).replace("{address}", address);
    text.replace("{dir}", &dir.to_string_lossy())
}

fn script(core: usize, program: &Path, text: &str, dir: &Path, port_file: &Path) -> Fallible<Start> {
    let file = dir.join("peer.mjs");
    std::fs::write(&file, text)?;
    let mut command = on_core(core, program)?;
    command.arg(file).arg(port_file).env("NODE_ENV", "production").env("BUN_ENV", "production");
    Ok(Start { command, address: None })
}

/// Where npm puts a package for us: outside of the repository, since it is no part of it.
fn cache(package: &str) -> Fallible<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let base = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    Ok(base.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("bongsu-bench").join(package))
}

fn cached(package: &str, what: &str) -> Fallible<PathBuf> {
    let modules = cache(package)?.join("node_modules");
    let path = if what == "bun" { modules.join(".bin/bun") } else { modules.join(what) };
    let missing =
        || format!("{package} is not installed: `bongsu-bench peers` does it, by npm in {}", modules.display());
    if path.exists() { Ok(path.canonicalize()?) } else { Err(missing().into()) }
}

/// Installs peers: Nchan by apt-get, which root may, the others by npm into the cache directory.
pub(crate) fn install(peers: &[Peer]) -> Fallible<()> {
    for peer in peers {
        match peer {
            Peer::Nchan => {
                let mut apt = Command::new("apt-get");
                apt.args(["install", "-y", "--no-install-recommends", "nginx-light", "libnginx-mod-nchan"]);
                succeed(apt.env("DEBIAN_FRONTEND", "noninteractive"))?;
            }
            Peer::Uws => npm("bun", BUN)?,
            Peer::Ws => npm("ws", WS)?,
        }
    }
    Ok(())
}

fn npm(package: &str, version: &str) -> Fallible<()> {
    let dir = cache(package)?;
    std::fs::create_dir_all(&dir)?;
    succeed(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(dir).arg(version))
}

fn succeed(command: &mut Command) -> Fallible<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("{name} cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_peers() {
        for peer in [Peer::Nchan, Peer::Uws, Peer::Ws] {
            assert_eq!(Peer::parse(peer.name()), Ok(peer));
        }
        assert!(Peer::parse("other").is_err());
    }

    #[test]
    fn a_peer_resumes_only_by_ways_it_has() {
        for peer in [Peer::Nchan, Peer::Uws, Peer::Ws] {
            for way in [Way::Sse, Way::Stream, Way::WebSocket, Way::LongPoll, Way::Poll] {
                assert!(peer.has(way) || !peer.resumes(way), "{peer:?} {way:?}");
            }
        }
    }

    #[test]
    fn the_configuration_of_nginx_is_filled_in() {
        let text = nginx_conf("/m.so", "127.0.0.1:9", Path::new("/d"));
        for part in ["load_module /m.so;", "listen 127.0.0.1:9 ", "pid /d/nginx.pid;"] {
            assert!(text.contains(part), "{part}");
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        assert!(
            code.into_iter().all(|line| !["{module}", "{address}", "{dir}"].iter().any(|part| line.contains(part)))
        );
    }
}
