//! Child programs that end with us, whatever happens.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_owned).context("this crate lies in the repository")
}

/// A running program; dropped, it is asked to end (SIGTERM), then killed.
pub struct Program {
    /// What it is, for messages.
    pub name: String,
    command: Command,
    child: Child,
    log: PathBuf,
}

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(8);

impl Program {
    /// Starts a program with its output in `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let child = spawn(name, &mut command, log)?;
        Ok(Self { name: name.to_owned(), command, child, log: log.to_owned() })
    }

    /// Ends it and starts it again with the same arguments. Gives whether it ended by itself.
    pub fn restart(&mut self) -> Result<bool> {
        let ended_well = self.stop();
        self.child = spawn(&self.name, &mut self.command, &self.log)?;
        Ok(ended_well)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Fails if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}):\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Asks it to end and waits. Gives whether it ended by itself within the grace.
    pub fn stop(&mut self) -> bool {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return true;
        }
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Child> {
    let output = File::options().create(true).append(true).open(log);
    let output = output.with_context(|| format!("open {}", log.display()))?;
    command
        // A group of its own: the terminal's Ctrl-C reaches only us, and we end it in order.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("start {name}"))
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Polls until `ready` says yes, or fails with `what` after `seconds`.
pub fn wait_until(what: &str, seconds: u64, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if ready()? {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{what}: not after {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One program of the profile this program was built with.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = directory()?.join(name);
    if !path.is_file() {
        bail!("{} is missing: run `cargo build --workspace --bins` first", path.display());
    }
    Ok(path)
}

fn directory() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/debug/deps/test-…, or target/debug/program.
    let dir = own.parent().context("a program lies in a directory")?;
    Ok(if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir }.to_owned())
}

/// Where cargo puts the programs of the profile this program was built with.
pub fn programs() -> Result<PathBuf> {
    let dir = directory()?;
    for name in ["palisade", "palisade-proxy", "demo-app"] {
        if !dir.join(name).is_file() {
            bail!("{} is missing: run `cargo build --workspace --bins` first", dir.join(name).display());
        }
    }
    Ok(dir)
}
