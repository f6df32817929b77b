//! Discovery by those who know of hosts: dnsmasq, Consul, and a cloud with EC2's interface.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::super::super::kit::{Kit, debian};
use super::super::super::python::Python;
use super::super::super::server::{Server, free_port};
use super::super::super::simulated::Host;
use super::{Place, adapt, found, newest, start};
use crate::packages::{self, Wanted};
use crate::process::{self, Unavailable};

/// Of loopback, and used by nobody else: resolvers ask on port 53 alone.
const RESOLVER: &str = "127.83.111.53";
/// What Debian's dnsmasq is linked against and a small machine lacks.
const LIBRARIES: [&str; 7] = [
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libmnl0",
    "libnftables1",
    "libnftnl11",
    "libjansson4",
    "libxtables12",
];
const INSTANCE: &str = include_str!("instance.py");

/// A program that serves in the background until this is dropped.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        // Either it has ended by itself, or this ends it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn dns(kit: &Kit<'_>) -> Result<()> {
    if !process::is_root() {
        bail!(Unavailable("a resolver on port 53, and a Prometheus that asks it, take root".into()));
    }
    let host = Host::start(kit, 3, 1)?;
    let adapted =
        adapt(kit, &host, &Place { mechanism: "dns", set: json!({"refresh_interval": "5s"}), relabel: json!([]) })?;
    ensure!(adapted.first["type"].as_str().unwrap_or("SRV") == "SRV", "the file asks for {}", adapted.first["type"]);
    // The port comes with the record; Prometheus refuses nothing and ignores it here, although a published guide has it.
    ensure!(adapted.first["port"].is_null(), "a port means nothing for SRV records");
    let name = adapted.first["names"][0].as_str().context("the file has no name to ask for")?;

    let dnsmasq = debian(Wanted { suite: "bookworm", pattern: "dnsmasq-base" }, "usr/sbin/dnsmasq")?;
    let mut libraries = Vec::new();
    for pattern in LIBRARIES {
        libraries.push(packages::unpacked(Wanted { suite: "bookworm", pattern })?.join("usr/lib/x86_64-linux-gnu"));
    }
    let mut command = Command::new(dnsmasq);
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
    command.args(["--user=root", "--pid-file="]).arg(format!("--listen-address={RESOLVER}"));
    command.arg(format!("--srv-host={name},localhost,{}", host.port()?)).stdin(Stdio::null());
    let _dnsmasq = Background(command.spawn().context("cannot start dnsmasq")?);

    // A Prometheus that sees another /etc/resolv.conf; nobody else does.
    let folder = kit.scratch().join("dns");
    fs::create_dir_all(&folder)?;
    let resolver = folder.join("resolv.conf");
    fs::write(&resolver, format!("nameserver {RESOLVER}\n"))?;
    let wrapper = folder.join("prometheus");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private /bin/sh -c \
         'mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"' {} {} \"$@\"\n",
        resolver.display(),
        newest()?.display()
    );
    fs::write(&wrapper, text)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    found(&start(kit, &wrapper, &adapted, "dns")?, adapted.jobs())
}

pub(super) fn consul(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let program = debian(Wanted { suite: "bullseye", pattern: "consul" }, "usr/bin/consul")?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command.args(["agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-dns-port=-1", "-grpc-port=-1"]);
    command.arg(format!("-http-port={port}"));
    for name in ["server-port", "serf-lan-port", "serf-wan-port"] {
        command.arg(format!("-{name}={}", free_port()?));
    }
    let consul = Server::start(&mut command, port, "/v1/status/leader", &kit.scratch().join("consul.log"))?;

    let set = json!({"server": format!("127.0.0.1:{port}"), "refresh_interval": "5s"});
    let relabel = json!([]);
    let adapted = adapt(kit, &host, &Place { mechanism: "consul", set, relabel })?;
    let name = adapted.first["services"][0].as_str().context("the file names no service")?;
    let tags = adapted.first["tags"].as_array().cloned().unwrap_or_default();
    // The other is registered, too, and nobody answers at its address.
    for (name, address) in [(name, host.address.clone()), ("other", format!("127.0.0.1:{}", free_port()?))] {
        register(&consul, name, &tags, &address)?;
    }
    let program = debian(Wanted { suite: "bullseye", pattern: "prometheus" }, "usr/bin/prometheus")?;
    found(&start(kit, &program, &adapted, "consul")?, adapted.jobs())
}

/// Registers a service as `uidmeter` would be, with a check of its health.
fn register(consul: &Server, name: &str, tags: &[Value], address: &str) -> Result<()> {
    let (ip, port) = address.split_once(':').context("an address without a port")?;
    let service = json!({
        "ID": name, "Name": name, "Tags": tags, "Address": ip, "Port": port.parse::<u16>()?,
        "Check": {"HTTP": format!("http://{address}/-/healthy"), "Interval": "1s", "Timeout": "1s"},
    });
    let url = format!("{}/v1/agent/service/register", consul.url);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--noproxy", "*", "--max-time", "10", "-X", "PUT", "--data", &service.to_string()]);
    process::capture(curl.arg(url)).map(|_| ())
}

pub(super) fn ec2(kit: &Kit<'_>) -> Result<()> {
    let host = Host::start(kit, 3, 1)?;
    let python = Python::prepare()?;
    let port = free_port()?;
    let mut command = python.program("python");
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
    let moto = Server::start(&mut command, port, "/moto-api/data.json", &kit.scratch().join("moto.log"))?;
    let set = json!({
        "endpoint": moto.url, "region": "eu-central-1", "access_key": "x", "secret_key": "x", "refresh_interval": "5s",
    });
    // The instances of this cloud have addresses, and nobody answers there: all lead to the host.
    let relabel = json!([{
        "source_labels": ["__address__"], "regex": ".*:(\\d+)", "target_label": "__address__", "replacement": "127.0.0.1:$1",
    }]);
    let adapted = adapt(kit, &host, &Place { mechanism: "ec2", set, relabel })?;
    let mut instance = python.script(INSTANCE);
    instance.args([&moto.url, "eu-central-1", &adapted.first.to_string()]);
    process::capture(&mut instance)?;
    let program: PathBuf = newest()?;
    found(&start(kit, &program, &adapted, "ec2")?, adapted.jobs())
}
