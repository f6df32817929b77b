//! The files, and what is printed: the same names at both ends.

use std::{fmt::Write as _, path::Path};

use super::{
    InitFlags, OTHER_END, Planned, Way,
    material::{AUDIENCE, Credential, ISSUER, KID, Material, SUBJECT, TOKEN_LIFE},
};
use crate::config::ListenAddress;

/// Where Prometheus looks for what belongs to it.
const THERE: &str = "/etc/prometheus";

/// The files of both ends.
pub(super) fn files(material: Material) -> Vec<Planned> {
    let there = |name: &str| Path::new(OTHER_END).join(name);
    let tls = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
    let mut files = vec![
        Planned::open("tls.crt", material.certificate.clone()),
        Planned::secret("tls.key", material.certificate_key),
        Planned::open(there("uidmeter-ca.crt"), material.certificate),
    ];
    match material.credential {
        Credential::Password { password, hash } => {
            let users = format!("basic_auth_users:\n  {SUBJECT}: {hash}\n");
            files.push(Planned::open("web.yml", format!("# TLS, and who may come in with a password.\n{tls}{users}")));
            files.push(Planned::secret(there("uidmeter.password"), password));
        }
        Credential::Token { token, key, public } => {
            files.push(Planned::open("web.yml", format!("# TLS; tokens stand in auth.toml.\n{tls}")));
            let auth = format!(
                "# Tokens that let Prometheus in. This host holds the public half of the key and can sign nothing.\n\
                 [jwt]\nissuers = [\"{ISSUER}\"]\naudiences = [\"{AUDIENCE}\"]\nmax_lifetime = \"{TOKEN_LIFE}\"\n\n\
                 [[jwt.keys]]\nkid = \"{KID}\"\nalgorithm = \"EdDSA\"\nfile = \"token.key.pub\"\n"
            );
            files.push(Planned::open("auth.toml", auth));
            files.push(Planned::open("token.key.pub", public));
            files.push(Planned::secret(there("token.key"), key));
            files.push(Planned::secret(there("uidmeter.token"), token));
        }
    }
    files
}

/// What to do now.
pub(super) fn farewell(flags: &InitFlags, folder: &Path, host: &str, files: &[Planned]) -> String {
    let mut text = String::new();
    let folder = folder.display();
    // Writing to a text cannot fail.
    let _ = writeln!(text, "Written to {folder}:");
    for file in files {
        let note = if file.is_secret { "  (secret)" } else { "" };
        let _ = writeln!(text, "  {}{note}", file.path.display());
    }
    let _ = write!(
        text,
        "\n1. Check it:  uidmeter check-config --config {folder}/uidmeter.toml\n\
         2. Start it:  systemctl enable --now uidmeter    (or: uidmeter run --config {folder}/uidmeter.toml)\n"
    );
    if flags.auth == Way::None {
        let _ = write!(
            text,
            "3. Look:      curl http://127.0.0.1:9101/metrics    (this host alone, and everybody on it)\n\n\
             In prometheus.yml, on this host:\n\n{}",
            block("127.0.0.1", 9101, Way::None)
        );
        return text;
    }
    let _ = write!(
        text,
        "3. Move everything in {folder}/{OTHER_END} to {THERE} on the host of Prometheus, secrets readable by its user alone,\n   \
            and remove the folder here.\n\
         4. Add this to prometheus.yml there, and reload Prometheus:\n\n{}",
        block(host, port(&flags.listen), flags.auth)
    );
    if flags.auth == Way::Jwt {
        let _ = write!(
            text,
            "\nThe token ends in {TOKEN_LIFE}. There, a timer (packaging/systemd/uidmeter-token.timer) or this makes the next one:\n\n  \
               uidmeter token mint --key {THERE}/token.key --kid {KID} --issuer {ISSUER} --audience {AUDIENCE} \\\n      \
                   --subject {SUBJECT} --out {THERE}/uidmeter.token --owner prometheus\n"
        );
    }
    text.push_str("\nThe certificate is this host's own and ends in a year; one of your authority can take its place at any time.\n");
    text
}

fn port(listen: &ListenAddress) -> u16 {
    match listen {
        ListenAddress::Ip(address) => address.port(),
        ListenAddress::Name { port, .. } => *port,
        ListenAddress::Unix(_) => 0,
    }
}

/// The scrape block for this host.
fn block(host: &str, port: u16, way: Way) -> String {
    let credential = match way {
        Way::None => String::new(),
        Way::Basic => {
            format!("    basic_auth:\n      username: {SUBJECT}\n      password_file: {THERE}/uidmeter.password\n")
        }
        Way::Jwt => format!("    authorization:\n      credentials_file: {THERE}/uidmeter.token\n"),
    };
    let tls = if way == Way::None {
        String::new()
    } else {
        format!("    scheme: https\n    tls_config:\n      ca_file: {THERE}/uidmeter-ca.crt\n")
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!(
        "scrape_configs:\n  - job_name: uidmeter\n{tls}{credential}    static_configs:\n      - targets: [\"{host}:{port}\"]\n"
    )
}
