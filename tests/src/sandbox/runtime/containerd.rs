//! containerd, driven by its own `ctr`.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::{PATIENCE, Runtime, daemonset::Container, image, network::List};
use crate::sandbox::{command, namespace::Namespace, wait};

/// Where `ctr` looks for network configurations, and nowhere else.
const CONFIGURATIONS: &str = "/etc/cni/net.d";

/// Parts of containerd that the containers do not need; each takes its time to start.
const DISABLED: &[&str] = &[
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
];

/// A running containerd; it ends, and its containers with it, when this is dropped.
#[derive(Debug)]
pub struct Containerd<'a> {
    node: &'a Namespace,
    folder: PathBuf,
    daemon: Child,
    /// The `ctr run` of each container: it stays until its container ends, and then removes
    /// the network.
    running: BTreeMap<String, Child>,
}

impl<'a> Containerd<'a> {
    /// Starts containerd in a node's namespace, with everything it keeps in `folder`, and
    /// imports the image.
    pub fn start(node: &'a Namespace, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let config = folder.join("config.toml");
        fs::write(&config, configuration(folder))
            .with_context(|| format!("write {}", config.display()))?;
        let log = folder.join("containerd.log");
        let log = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let daemon = node
            .command("containerd")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            .spawn()
            .context("start containerd")?;
        let this = Self { node, folder: folder.to_owned(), daemon, running: BTreeMap::new() };
        wait::until("containerd answers", PATIENCE, || {
            Ok(command::output(this.ctr().arg("version"))?.status.success().then_some(()))
        })?;
        let archive = folder.join("image.tar");
        image::write(&archive)?;
        command::run(this.ctr().args(["image", "import", "--no-unpack"]).arg(&archive))?;
        Ok(this)
    }

    /// Imports another image.
    pub fn import(&self, archive: &Path) -> Result<()> {
        command::run(self.ctr().args(["image", "import", "--no-unpack"]).arg(archive)).map(drop)
    }

    /// Starts a container of the DaemonSet's pod.
    pub fn run(&self, container: &Container) -> Result<()> {
        let Container { name, options, image, command, ready: _ } = container;
        let log = self.log(name);
        let mut ctr = self.ctr();
        ctr.args(["run", "--detach", "--log-uri"]).arg(format!("file://{}", log.display()));
        command::run(ctr.args(options).args([image, name]).args(command)).map(drop)
    }

    /// Runs a command in a running container of the pod.
    pub fn exec_in(&self, name: &str, words: &[String]) -> Result<String> {
        command::run(self.ctr().args(["task", "exec", "--exec-id", "probe", name]).args(words))
    }

    /// What the pod's containers wrote.
    #[must_use]
    pub fn logs(&self, pod: &[Container]) -> String {
        let log = |container: &Container| {
            let text = fs::read_to_string(self.log(&container.name)).unwrap_or_default();
            format!("{}: {text}", container.name)
        };
        pod.iter().map(log).collect::<Vec<_>>().join("\n")
    }

    /// Ends the pod's containers, as a kubelet does.
    pub fn stop(&self, pod: &[Container]) -> Result<()> {
        for Container { name, .. } in pod {
            command::run(self.ctr().args(["task", "kill", "--signal", "SIGTERM", name]))?;
            wait::until("the container ends", PATIENCE, || {
                let tasks = command::run(self.ctr().args(["task", "list"]))?;
                let mut own = tasks.lines().filter(|line| line.starts_with(&format!("{name} ")));
                Ok((!own.any(|line| line.contains("RUNNING"))).then_some(()))
            })?;
            command::run(self.ctr().args(["task", "delete", name]))?;
            command::run(self.ctr().args(["container", "delete", name]))?;
        }
        Ok(())
    }

    /// Starts a container in a network namespace that has what it needs, as runtimes of Kubernetes do.
    pub fn start_in(&mut self, name: &str, netns: &Path) -> Result<()> {
        let mut ctr = self.ctr();
        ctr.args(["run", "--rm", "--with-ns"]).arg(format!("network:{}", netns.display()));
        self.serve(name, ctr)
    }

    /// Starts a container that serves, and waits until it does.
    fn serve(&mut self, name: &str, mut ctr: Command) -> Result<()> {
        ctr.args([image::NAME, name, image::PROGRAM, "serve"]);
        ctr.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ctr.spawn().context("start ctr run")?;
        let lines = first_line(&mut child)?;
        self.running.insert(name.to_owned(), child);
        // The program's first word comes after its network.
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if !line.is_empty() => Ok(()),
            Ok(_) => bail!("container {name} ended early: {}", self.last_words(name)),
            Err(_) => bail!("container {name} is not ready within {PATIENCE:?}"),
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn ctr(&self) -> Command {
        let mut ctr = self.node.command("ctr");
        ctr.arg("--address").arg(self.folder.join("sock"));
        ctr
    }
}

impl Runtime for Containerd<'_> {
    fn start(&mut self, name: &str, configuration: &List) -> Result<()> {
        let folder = self.folder.join("networks").join(name);
        configuration.write(&folder)?;
        let mut ctr = self.ctr();
        ctr.args(["run", "--rm", "--cni"]);
        // Every container has a list of its own, where all programs of the guest share a path.
        mount_over(&mut ctr, &folder, Path::new(CONFIGURATIONS))?;
        self.serve(name, ctr)
    }

    fn exec(&self, name: &str, words: &[String]) -> Result<String> {
        let mut ctr = self.ctr();
        ctr.args(["task", "exec", "--exec-id", "ask", name, image::PROGRAM]).args(words);
        command::run(&mut ctr)
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        command::run(self.ctr().args(["task", "kill", "--signal", "SIGKILL", name]))?;
        let mut child = self.running.remove(name).context("no such container")?;
        wait::until("ctr run ends", PATIENCE, || child.try_wait().context("wait for ctr"))?;
        let left = command::run(self.ctr().args(["container", "list", "--quiet"]))?;
        if left.lines().any(|line| line == name) {
            bail!("container {name} is still there");
        }
        Ok(())
    }
}

impl Containerd<'_> {
    /// What `ctr run` said on its end.
    fn last_words(&mut self, name: &str) -> String {
        let said = self.running.remove(name).map(Child::wait_with_output);
        let said = said.and_then(Result::ok).map(|output| output.stderr).unwrap_or_default();
        String::from_utf8_lossy(&said).trim().to_owned()
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        for name in self.running.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.remove(&name) {
                eprintln!("netpath-sandbox: remove container {name}: {error:#}");
            }
        }
        if let Err(error) = self.daemon.kill().and_then(|()| self.daemon.wait()) {
            eprintln!("netpath-sandbox: end containerd: {error}");
        }
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "version = 2\nroot = '{folder}/root'\nstate = '{folder}/state'\n\
         disabled_plugins = {DISABLED:?}\n[grpc]\naddress = '{folder}/sock'\n"
    )
}

/// The first line that a child prints, or an empty one at its end.
fn first_line(child: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stdout = child.stdout.take().context("no pipe from the program")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        // Nobody waits any more if the receiver is gone.
        let _ = sender.send(first);
        // To the end: a program whose output nobody reads stops.
        lines.for_each(drop);
    });
    Ok(receiver)
}

/// Lets a command see one folder in the place of another; nobody else sees a change.
fn mount_over(command: &mut Command, folder: &Path, place: &Path) -> Result<()> {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).context("a path with NUL");
    let (folder, place) = (path(folder)?, path(place)?);
    let none = None::<&str>;
    let enter = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, c"/", none, private, none)?;
        mount(Some(folder.as_c_str()), place.as_c_str(), none, MsFlags::MS_BIND, none)?;
        Ok(())
    };
    // SAFETY: three system calls on strings made before the fork: no lock, no heap.
    unsafe { command.pre_exec(enter) };
    Ok(())
}
