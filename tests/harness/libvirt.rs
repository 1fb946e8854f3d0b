//! A BMC that nobody here wrote: sushy-emulator over libvirt, with one virtual machine behind it.
//!
//! Relies on libvirtd (as a session daemon of an ordinary user: no system service, no D-Bus), QEMU, OVMF and the system's own
//! Python with its libvirt binding; sushy-tools comes from PyPI into `build/foreign`. Everything that it starts, QEMU too, is ended
//! by a small reaper when the value is dropped or the test process dies. It tests nothing of Dell: the profile is the generic one,
//! authentication is Basic, there are no tasks, and changes of boot device and media take effect at the next power-on.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User};
use uuid::Uuid;

const SUSHY_TOOLS: &str = "sushy-tools==2.2.0";
/// Debian's own: the libvirt binding is built for it, whatever `python3` is first on the path.
const PYTHON: &str = "/usr/bin/python3";
const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const FIRMWARE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The ordinary user for libvirtd and QEMU when the tests run as root.
const ORDINARY_USER: &str = "nobody";
/// Where the emulator listens: an address of its own, so that a subnet setting can tell it from simulated iDRACs.
pub const LISTEN: &str = "127.30.0.1";
const BMC_USER: &str = "admin";
/// libvirtd and the emulator are up within a second on a free core, within ten on a busy machine.
const START_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// The deploy ramdisk passes over disks of 8 GiB and less.
const DISK_BYTES: u64 = 12 << 30;

/// The virtual machine with its BMC.
pub struct ForeignBmc {
    folder: PathBuf,
    port: u16,
    uuid: Uuid,
    password: String,
    reaper: Child,
}

impl ForeignBmc {
    /// What this machine lacks to run one; `None` when all is there.
    #[must_use]
    pub fn missing() -> Option<String> {
        let programs = [
            ("libvirtd", "libvirt-daemon"),
            ("virsh", "libvirt-clients"),
            ("qemu-system-x86_64", "qemu-system-x86"),
            ("qemu-img", "qemu-utils"),
            ("openssl", "openssl"),
            ("setpriv", "util-linux"),
        ];
        let there = |program: &str| {
            let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
            places.iter().any(|folder| Path::new(folder).join(program).is_file())
        };
        let mut missing: Vec<String> = programs
            .into_iter()
            .filter(|(program, _)| !there(program))
            .map(|(program, package)| format!("{program} (package {package})"))
            .collect();
        for (file, package) in [(FIRMWARE_CODE, "ovmf"), (PYTHON, "python3")] {
            if !Path::new(file).exists() {
                missing.push(format!("{file} (package {package})"));
            }
        }
        let driver = Path::new("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so");
        if !driver.exists() {
            missing.push("libvirt's QEMU driver (package libvirt-daemon-driver-qemu)".to_owned());
        }
        for (module, package) in [("libvirt", "python3-libvirt"), ("ensurepip", "python3-venv")] {
            let import = Command::new(PYTHON).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
            if !import.is_ok_and(|status| status.success()) {
                missing.push(format!("Python's {module} (package {package})"));
            }
        }
        (!missing.is_empty()).then(|| format!("missing: {}", missing.join(", ")))
    }

    /// Starts libvirtd, defines the machine (off, with an empty disk) and starts the emulator before it. `build` is the folder for
    /// what is kept between runs.
    ///
    /// # Errors
    /// Whatever does not start, with the end of what it said.
    pub async fn start(build: &Path) -> anyhow::Result<Self> {
        let python = emulator_python(build)?;
        let folder = tempfile::Builder::new()
            .prefix("helix-foreign-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?
            .keep();
        let reaper = start_reaper(&folder)?;
        let port = TcpListener::bind((LISTEN, 0))?.local_addr()?.port();
        let bmc = Self { folder, port, uuid: Uuid::new_v4(), password: Uuid::new_v4().to_string(), reaper };
        bmc.start_libvirtd().await.context("starting libvirtd")?;
        bmc.define_machine().context("defining the virtual machine")?;
        bmc.start_emulator(&python).await.context("starting sushy-emulator")?;
        Ok(bmc)
    }

    /// `address:port` of the Redfish service (HTTPS, self-signed).
    #[must_use]
    pub fn address(&self) -> String {
        format!("{LISTEN}:{}", self.port)
    }

    #[must_use]
    pub fn user(&self) -> &str {
        BMC_USER
    }

    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The machine's identity: its UUID over Redfish, the same in SMBIOS as UUID and as serial number.
    #[must_use]
    pub fn identity(&self) -> String {
        self.uuid.to_string()
    }

    /// All that the machine said on its serial port.
    #[must_use]
    pub fn console(&self) -> String {
        read_lossy(&self.folder.join("console.log"))
    }

    /// What the emulator logged: its requests, and why it refused one.
    #[must_use]
    pub fn emulator_log(&self) -> String {
        read_lossy(&self.folder.join("emulator.log"))
    }

    fn connection(&self) -> String {
        format!("qemu:///session?socket={}", self.folder.join("run/libvirt/libvirt-sock").display())
    }

    async fn start_libvirtd(&self) -> anyhow::Result<()> {
        let folder = &self.folder;
        for name in ["config/libvirt", "run", "cache", "data", "pool"] {
            fs::create_dir_all(folder.join(name))?;
        }
        // Security drivers and cgroups belong to the system's own libvirt; logs go to files because there is no virtlogd.
        let settings = "security_driver = \"none\"\nstdio_handler = \"file\"\ncgroup_controllers = [ ]\n";
        fs::write(folder.join("config/libvirt/qemu.conf"), settings)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if Uid::effective().is_root() {
            let user = User::from_name(ORDINARY_USER)?.context("there is no user `nobody`")?;
            let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
            command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]);
            for name in ["", "config", "config/libvirt", "run", "cache", "data", "pool"] {
                chown(folder.join(name), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            }
        }
        command.args(["libvirtd", "--timeout", "0"]).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder);
        for (variable, name) in
            [("RUNTIME_DIR", "run"), ("CONFIG_HOME", "config"), ("CACHE_HOME", "cache"), ("DATA_HOME", "data")]
        {
            command.env(format!("XDG_{variable}"), folder.join(name));
        }
        self.background("libvirtd", &mut command, || {
            let list = self.virsh(&["list", "--all"]);
            list.is_ok_and(|output| output.status.success())
        })
        .await
    }

    fn virsh(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new("virsh").args(["--quiet", "--connect", &self.connection()]).args(arguments).output()
    }

    fn virsh_ok(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.virsh(arguments)?;
        ensure!(output.status.success(), "virsh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    fn define_machine(&self) -> anyhow::Result<()> {
        let disk = self.folder.join("pool/disk.raw");
        File::create(&disk)?.set_len(DISK_BYTES)?;
        let variables = self.folder.join("pool/nvram.fd");
        fs::copy(FIRMWARE_VARIABLES, &variables)?;
        let console = self.folder.join("console.log");
        File::create(&console)?;
        if Uid::effective().is_root() {
            let user = User::from_name(ORDINARY_USER)?.context("there is no user `nobody`")?;
            for file in [&disk, &variables, &console] {
                chown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            }
        }
        // The emulator uploads media into the pool of this name.
        let pool = self.folder.join("pool");
        self.virsh_ok(&["pool-create-as", "default", "dir", "--target", &pool.to_string_lossy()])?;
        let definition = self.folder.join("machine.xml");
        fs::write(&definition, machine_xml(&self.uuid, &self.folder))?;
        self.virsh_ok(&["define", &definition.to_string_lossy()])
    }

    async fn start_emulator(&self, python: &Path) -> anyhow::Result<()> {
        let folder = &self.folder;
        let (certificate, key) = (folder.join("bmc.crt"), folder.join("bmc.key"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
        openssl.args(["-subj", "/CN=sushy-emulator", "-addext", &format!("subjectAltName=IP:{LISTEN}"), "-keyout"]);
        let made = openssl.arg(&key).arg("-out").arg(&certificate).output()?;
        ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));

        // bcrypt is all that the emulator takes; cost 4 because it hashes anew at every request. The password goes by pipe.
        let hash = "import bcrypt,sys;print(bcrypt.hashpw(sys.stdin.buffer.read(),bcrypt.gensalt(4)).decode())";
        let mut hasher = Command::new(python);
        let mut hasher = hasher.args(["-c", hash]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        hasher.stdin.take().context("no pipe to bcrypt")?.write_all(self.password.as_bytes())?;
        let hashed = hasher.wait_with_output()?;
        ensure!(hashed.status.success(), "bcrypt failed");
        fs::write(folder.join("htpasswd"), format!("{BMC_USER}:{}", String::from_utf8(hashed.stdout)?))?;

        let settings = format!(
            "SUSHY_EMULATOR_LISTEN_IP = '{LISTEN}'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n\
             SUSHY_EMULATOR_SSL_CERT = '{certificate}'\nSUSHY_EMULATOR_SSL_KEY = '{key}'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{folder}/htpasswd'\nSUSHY_EMULATOR_STATE_DIR = '{folder}/state'\n\
             SUSHY_EMULATOR_LIBVIRT_URI = '{connection}'\nSUSHY_EMULATOR_IGNORE_BOOT_DEVICE = False\n\
             SUSHY_EMULATOR_BOOT_LOADER_MAP = {{'UEFI': {{'x86_64': '{FIRMWARE_CODE}'}}, 'Legacy': {{'x86_64': None}}}}\n\
             SUSHY_EMULATOR_SECURE_BOOT_DISABLED_NVRAM = '{FIRMWARE_VARIABLES}'\n",
            port = self.port,
            certificate = certificate.display(),
            key = key.display(),
            folder = folder.display(),
            connection = self.connection(),
        );
        fs::create_dir_all(folder.join("state"))?;
        fs::create_dir_all(folder.join("tmp"))?;
        fs::write(folder.join("emulator.conf"), settings)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(python).args(["-m", "sushy_tools.emulator.main", "--config"]);
        command.arg(folder.join("emulator.conf")).env("TMPDIR", folder.join("tmp"));
        // Python's requests would verify media servers by these even where the emulator says not to.
        command.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
        self.background("emulator", &mut command, || std::net::TcpStream::connect((LISTEN, self.port)).is_ok()).await
    }

    /// Starts a program, notes its id for the reaper, and waits until `ready`.
    async fn background(&self, name: &str, command: &mut Command, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let mut child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
        fs::write(self.folder.join(format!("{name}.pid")), child.id().to_string())?;
        let patience = Instant::now() + START_WAIT;
        while !ready() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}: {}", read_lossy(&log));
            }
            ensure!(Instant::now() < patience, "{name} is not up after {START_WAIT:?}: {}", read_lossy(&log));
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for ForeignBmc {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        if let Err(error) = self.reaper.wait() {
            eprintln!("the reaper of {} could not be waited for: {error}", self.folder.display());
        }
    }
}

/// A shell that waits for the end of its standard input, which comes when we let go of it or die, and then ends everything of this
/// folder: libvirtd leaves QEMU running, so nobody else would.
fn start_reaper(folder: &Path) -> anyhow::Result<Child> {
    let script = r#"cat >/dev/null
for file in "$1"/emulator.pid "$1"/libvirtd.pid "$1"/run/libvirt/qemu/run/*.pid; do
    [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null
done
rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "reaper"]).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: a time-out of the test runner kills the group of the test.
    Ok(command.process_group(0).spawn()?)
}

/// The Python that has sushy-tools: a virtual environment below `build`, made once.
fn emulator_python(build: &Path) -> anyhow::Result<PathBuf> {
    let folder = build.join("foreign");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let _turn = Flock::lock(File::create(folder.join("lock"))?, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let venv = folder.join("sushy-tools-2.2.0");
    let (python, done) = (venv.join("bin/python"), venv.join("complete"));
    if done.exists() && python.exists() {
        return Ok(python);
    }
    if venv.exists() {
        fs::remove_dir_all(&venv)?;
    }
    let run = |command: &mut Command| -> anyhow::Result<()> {
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    run(Command::new(PYTHON).args(["-m", "venv", "--system-site-packages"]).arg(&venv))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SUSHY_TOOLS]))?;
    File::create(done)?;
    Ok(python)
}

/// The domain: q35 with OVMF under TCG, one virtio disk, one network card behind slirp, no drive until media are inserted.
fn machine_xml(uuid: &Uuid, folder: &Path) -> String {
    let bytes = uuid.as_bytes();
    let mac = format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2]);
    let folder = folder.display();
    format!(
        "<domain type='qemu'>
  <name>helix-foreign</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <sysinfo type='smbios'>
    <system>
      <entry name='manufacturer'>QEMU</entry>
      <entry name='product'>Virtual machine</entry>
      <entry name='serial'>{uuid}</entry>
      <entry name='uuid'>{uuid}</entry>
    </system>
  </sysinfo>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='pflash'>{FIRMWARE_CODE}</loader>
    <nvram template='{FIRMWARE_VARIABLES}'>{folder}/pool/nvram.fd</nvram>
    <smbios mode='sysinfo'/>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='allow'>qemu64</model>
    <feature policy='require' name='ssse3'/>
    <feature policy='require' name='sse4.1'/>
    <feature policy='require' name='sse4.2'/>
    <feature policy='require' name='popcnt'/>
    <feature policy='require' name='rdrand'/>
  </cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='unsafe' discard='unmap'/>
      <source file='{folder}/pool/disk.raw'/>
      <target dev='vda' bus='virtio'/>
      <serial>FOREIGNDISK1</serial>
      <boot order='1'/>
    </disk>
    <interface type='user'>
      <mac address='{mac}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='{folder}/console.log' append='on'/><target port='0'/></serial>
    <controller type='usb' model='none'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"
    )
}

fn read_lossy(path: &Path) -> String {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("({} cannot be read: {error})", path.display()),
    }
}
