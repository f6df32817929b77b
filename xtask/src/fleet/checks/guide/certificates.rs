//! `packaging/scripts/make-certificates`, held against openssl: what its certificates are good for, and what they are not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, ensure};

use super::super::super::kit::Kit;
use crate::process;

pub(super) fn check(kit: &Kit<'_>) -> Result<()> {
    let folder = tempfile::tempdir_in(kit.scratch())?;
    let make = |words: &[&str]| {
        let mut command = Command::new(kit.packaging("scripts/make-certificates"));
        command.current_dir(folder.path()).args(words);
        command
    };
    process::capture(&mut make(&["ca", "pki"]))?;
    process::capture(&mut make(&["server", "pki", "host1.example.com", "192.0.2.20", "2001:db8::20"]))?;
    process::capture(&mut make(&["client", "pki", "prometheus.example"]))?;
    let accepts = |words: &[&str]| -> Result<bool> {
        let mut openssl = Command::new("openssl");
        openssl
            .current_dir(folder.path().join("pki"))
            .args(["verify", "-x509_strict", "-CAfile", "ca.crt"])
            .args(words);
        Ok(openssl.output()?.status.success())
    };
    let (server, client) = ("host1.example.com.crt", "prometheus.example.crt");
    for name in
        [["-verify_hostname", "host1.example.com"], ["-verify_ip", "192.0.2.20"], ["-verify_ip", "2001:db8::20"]]
    {
        ensure!(
            accepts(&["-purpose", "sslserver", name[0], name[1], server])?,
            "the host's certificate does not hold for {name:?}"
        );
    }
    ensure!(accepts(&["-purpose", "sslclient", client])?, "Prometheus' certificate does not hold for a client");
    ensure!(!accepts(&["-purpose", "sslclient", server])?, "a host's certificate would let it in at other hosts");
    ensure!(!accepts(&["-purpose", "sslserver", client])?, "Prometheus' certificate would pass for that of a host");
    ensure!(
        !accepts(&["-verify_hostname", "host2.example.com", server])?,
        "a host's certificate holds for another host"
    );
    let valid = |days: u32| -> Result<bool> {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-checkend", &(days * 86_400).to_string(), "-in"]);
        Ok(openssl.arg(folder.path().join("pki").join(server)).output()?.status.success())
    };
    ensure!(valid(89)? && !valid(91)?, "a host's certificate is not good for 90 days");
    for key in ["ca.key", "host1.example.com.key", "prometheus.example.key"] {
        let mode = fs::metadata(folder.path().join("pki").join(key))?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{key} has mode {mode:o}");
    }
    let authority = fs::read(folder.path().join("pki/ca.key"))?;
    ensure!(!make(&["ca", "pki"]).output()?.status.success(), "an authority is made over another one");
    ensure!(fs::read(folder.path().join("pki/ca.key"))? == authority, "the authority's key was lost");
    for hostile in ["x,DNS:evil.example", "x\nbasicConstraints=CA:TRUE", "../x", "-x", ""] {
        let output = make(&["server", "pki", hostile]).output()?;
        ensure!(!output.status.success(), "{hostile:?} is taken for a name");
    }
    Ok(())
}
