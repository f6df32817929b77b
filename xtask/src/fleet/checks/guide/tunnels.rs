//! `packaging/proxy/ssh-tunnels` through a real SSH server to a host whose port answers on loopback only.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::super::super::kit::Kit;
use super::firewall::listen;
use super::stage::Stage;
use crate::process;

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    lists(kit)?;
    let packages = ["openssh-server", "libwrap0", "nginx", "nginx-common"];
    let mut stage = Stage::new(kit, &packages, &[])?;
    let folder = stage.folder().display().to_string();
    stage.run(&format!(
        "echo '127.0.0.1 host1.example.com host2.example.com' >>/etc/hosts
         grep -q ^sshd: /etc/passwd || echo 'sshd:x:20992:20992::/run/sshd:/bin/false' >>/etc/passwd
         # An account without a password may come in with a key; one that is locked may not.
         sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
         mkdir -p /run/sshd
         ssh-keygen -q -t ed25519 -N '' -f {folder}/host-key
         ssh-keygen -q -t ed25519 -N '' -f {folder}/key
         cp {folder}/key.pub {folder}/authorized"
    ))?;
    fs::write(
        stage.folder().join("sshd.conf"),
        format!(
            "HostKey {folder}/host-key\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n\
             PidFile none\nListenAddress 127.0.0.1\nAllowTcpForwarding local\n"
        ),
    )?;
    fs::write(
        stage.folder().join("ssh.conf"),
        format!("IdentityFile {folder}/key\nUserKnownHostsFile {folder}/known\nStrictHostKeyChecking accept-new\n"),
    )?;
    fs::write(
        stage.folder().join("hosts"),
        "root@host1.example.com 19101\nroot@host2.example.com 19102 # the other\n",
    )?;
    stage.start("sshd", &format!("/usr/sbin/sshd -D -e -f {folder}/sshd.conf"), "ss -ltn | grep -q '127.0.0.1:22 '")?;
    listen(&mut stage, "nginx", "", &[9101])?;
    let both = "for port in 19101 19102; do curl -sf --max-time 2 http://127.0.0.1:$port/; done";
    let run = format!("env SSH_OPTIONS={folder}/ssh.conf PAUSE=1 packaging/proxy/ssh-tunnels run {folder}/hosts");
    stage.start("tunnels", &run, both).with_context(|| logs(&folder))?;
    let owner = "ss -Hltnp 'sport = :19101' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | head -n 1";
    let first = stage.run(owner)?;
    ensure!(!first.trim().is_empty(), "nobody listens on the first tunnel's port");
    stage.run(&format!("kill {}", first.trim()))?;
    stage.wait_until(both).context("a tunnel that ended does not come again")?;
    ensure!(stage.run(owner)? != first, "the tunnel that was ended is still there");
    stage.stop("tunnels");
    stage.wait_until("! ss -ltn | grep -q ':1910[12] '").context("a tunnel outlives ssh-tunnels")
}

/// What the server and the tunnels said.
fn logs(folder: &str) -> String {
    ["sshd.log", "tunnels.log"]
        .map(|name| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default())
        .join("\n")
}

/// Lists that are refused, and what the shipped one comes to.
fn lists(kit: &Kit<'_>) -> Result<()> {
    let call = |action: &str, file: &std::path::Path| {
        let mut command = std::process::Command::new(kit.packaging("proxy/ssh-tunnels"));
        command.arg(action).arg(file);
        command
    };
    let shipped = kit.packaging("proxy/hosts.example");
    process::capture(&mut call("check", &shipped))?;
    let commands = process::capture(&mut call("show", &shipped))?;
    let ports: std::collections::BTreeSet<&str> =
        commands.lines().filter_map(|line| line.split("-L 127.0.0.1:").nth(1)?.split(':').next()).collect();
    ensure!(ports.len() == commands.lines().count() && ports.len() > 1, "tunnels share a port: {commands}");
    let targets: serde_json::Value = serde_json::from_str(&process::capture(&mut call("targets", &shipped))?)?;
    let first = &targets[0];
    ensure!(
        first["targets"][0] == "127.0.0.1:19101" && first["labels"]["instance"] == "host1.example.com",
        "the targets are {targets}"
    );
    let file = kit.scratch().join("tunnels");
    for wrong in [
        "a 9101\nb 9101\n",
        "a 19101\na 19102\n",
        "a\n",
        "a b c\n",
        "-oProxyCommand=x 19101\n",
        "a;x 19101\n",
        "a 80\n",
        "a 65536\n",
        "# nobody\n",
    ] {
        fs::write(&file, wrong)?;
        ensure!(!call("show", &file).output()?.status.success(), "the list {wrong:?} is accepted");
    }
    Ok(())
}
