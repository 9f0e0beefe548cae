//! A `bongsu` process.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bongsu_client::Client;
use tempfile::TempDir;

use super::PATIENCE;

/// A server that can be killed and started again on the same port with the same data. Dropping it kills it.
pub(crate) struct Server {
    directory: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut server = Self { directory, port: 0, child: None };
        server.run().await;
        server
    }

    /// Starts it, again if it was stopped.
    pub(crate) async fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let port_file = self.directory.path().join("port");
        let _ = std::fs::remove_file(&port_file);
        let child = Command::new(binary())
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(self.directory.path().join("data"))
            .arg("--port-file")
            .arg(&port_file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        self.port = self.wait_for_port(&port_file).await;
    }

    async fn wait_for_port(&mut self, file: &Path) -> u16 {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(address) = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
                return SocketAddr::port(&address);
            }
            let child = self.child.as_mut().expect("it was started");
            if let Some(status) = child.try_wait().expect("a status") {
                let mut said = String::new();
                child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
                panic!("the server ended with {status}: {said}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not start in time");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("its end");
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub(crate) async fn drain(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("its end");
        assert!(status.success(), "{status}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url()).expect("an address")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("BONGSU_BIN").map_or_else(build, PathBuf::from))
}

/// Builds the server beside this test.
fn build() -> PathBuf {
    // …/target/debug/deps/it-0123456789abcdef
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("the directory of the profile");
    let target = profile.parent().expect("the target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "bongsu-cli", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the server cannot be built");
    profile.join("bongsu")
}
