//! Sockets of every kind: several addresses, Unix sockets, sockets from systemd.

use std::{
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _, symlink},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    process::Command,
    time::Duration,
};

use collector::{
    export::http::{Address, TelemetryPath, bind_all},
    pipeline::web::{Settings, open},
};

use crate::{Outcome, rig::start};

const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.0\r\n\r\n";

fn plain(listen: Vec<Address>) -> Settings {
    Settings {
        listen,
        inherit: false,
        telemetry_path: TelemetryPath::default(),
        max_requests: 0,
        open_health: false,
        web_config: None,
        auth_file: None,
    }
}

/// A client in a thread of its own, so that the server can run in this one.
async fn asked(ask: impl FnOnce() -> std::io::Result<String> + Send + 'static) -> Result<String, Box<dyn Error>> {
    Ok(tokio::task::spawn_blocking(ask).await??)
}

fn over_tcp(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn over_unix(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[tokio::test]
async fn several_addresses_are_served_at_once_and_ipv6_leaves_ipv4_to_its_own_socket() -> Outcome {
    let port = free_port()?;
    let listen: Vec<Address> = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
        .iter()
        .map(|text| Ok(Address::Tcp(text.parse()?)))
        .collect::<Result<_, std::net::AddrParseError>>()?;
    let server = start(plain(listen))?;
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let address = address.parse()?;
        assert!(asked(move || over_tcp(address)).await?.ends_with("\r\n\r\nhealthy\n"));
    }
    server.stop().await
}

#[test]
fn every_address_of_ipv6_stands_for_ipv4_too_unless_that_is_listed_itself() -> Outcome {
    let port = free_port()?;
    let (v6, v4) = (Address::Tcp(([0_u16; 8], port).into()), Address::Tcp(([0_u8; 4], port).into()));
    {
        let _alone = bind_all(std::slice::from_ref(&v6)).map_err(|errors| format!("{errors:?}"))?;
        TcpStream::connect(("127.0.0.1", port))?;
    }
    let both = bind_all(&[v6, v4]).map_err(|errors| format!("{errors:?}"))?;
    assert_eq!(both.len(), 2);
    Ok(())
}

#[test]
fn a_taken_port_is_told_with_all_other_problems_and_nothing_stays_open() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let (address, other) = (taken.local_addr()?, free_port()?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "precious")?;
    let free = Address::Tcp(([127, 0, 0, 1], other).into());
    let listen = vec![Address::Tcp(address), free, Address::Unix(file.clone())];
    let refusal = open(plain(listen), std::sync::Arc::new(collector::export::http::Unheard)).err().ok_or("opened")?;
    let problems = refusal.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains(&address.to_string()), "{problems:?}");
    assert!(problems[1].contains("not a socket"), "{problems:?}");
    assert_eq!(fs::read(&file)?, b"precious");
    TcpListener::bind(("127.0.0.1", other))?;
    Ok(())
}

#[test]
fn what_others_can_reach_is_not_served_to_them_unasked() -> Outcome {
    let listen = vec![Address::Tcp(([0, 0, 0, 0], 0).into())];
    let refusal = open(plain(listen), std::sync::Arc::new(collector::export::http::Unheard)).err().ok_or("opened")?;
    let problems = refusal.problems();
    assert!(problems.len() == 1 && problems[0].contains("open to the network"), "{problems:?}");
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_is_for_owner_and_group_and_goes_with_the_server() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("http.sock");
    let server = start(plain(vec![Address::Unix(path.clone())]))?;
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o7777, 0o660);
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "the temporary name is gone");
    let client = path.clone();
    assert!(asked(move || over_unix(&client)).await?.ends_with("\r\n\r\nhealthy\n"));
    server.stop().await?;
    assert!(!path.exists());
    Ok(())
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("http.sock");
    let somebody = UnixListener::bind(&path)?;
    let refused = start(plain(vec![Address::Unix(path.clone())])).err().ok_or("started")?.to_string();
    assert!(refused.contains("another process serves"), "{refused}");
    assert!(UnixStream::connect(&path).is_ok(), "the live one was touched");
    drop(somebody);
    assert!(fs::metadata(&path)?.file_type().is_socket());
    let server = start(plain(vec![Address::Unix(path.clone())]))?;
    let client = path.clone();
    assert!(asked(move || over_unix(&client)).await?.contains("healthy"));
    // Replaced by somebody else meanwhile, it is theirs.
    fs::remove_file(&path)?;
    let _theirs = UnixListener::bind(&path)?;
    server.stop().await?;
    assert!(path.exists());
    Ok(())
}

#[test]
fn a_link_is_not_followed_to_a_file_of_somebody_else() -> Outcome {
    let folder = tempfile::tempdir()?;
    let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
    fs::write(&file, "precious")?;
    symlink(&file, &link)?;
    let listen = vec![Address::Unix(link.clone())];
    assert!(open(plain(listen), std::sync::Arc::new(collector::export::http::Unheard)).is_err());
    assert_eq!(fs::read(&file)?, b"precious");
    assert!(link.is_symlink());
    Ok(())
}

const CHILD: &str = "UIDMETER_TEST_INHERITS";

/// Not a test of its own: the process that the next one starts.
#[tokio::test]
async fn child_that_inherits_sockets() -> Outcome {
    if std::env::var_os(CHILD).is_none() {
        return Ok(());
    }
    let server = start(Settings { inherit: true, ..plain(Vec::new()) })?;
    // The parent ends this process; if it cannot, this does.
    tokio::time::sleep(Duration::from_secs(20)).await;
    server.stop().await
}

#[test]
fn sockets_of_systemd_are_served() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("http.sock");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0")?, UnixListener::bind(&path)?);
    // As systemd does it: descriptors from 3 on, and the number of the process that they are for. They come in as
    // standard input and output, which is the one way to hand over descriptors without unsafe code.
    let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .arg(std::env::current_exe()?)
        .args(["--exact", "sockets::child_that_inherits_sockets"])
        .env(CHILD, "1")
        .stdin(OwnedFd::from(tcp.try_clone()?))
        .stdout(OwnedFd::from(unix.try_clone()?))
        .spawn()?;
    let answers = over_tcp(tcp.local_addr()?).and_then(|tcp| Ok((tcp, over_unix(&path)?)));
    child.kill()?;
    child.wait()?;
    let (one, other) = answers?;
    assert!(one.ends_with("\r\n\r\nhealthy\n") && other.ends_with("\r\n\r\nhealthy\n"), "{one} {other}");
    assert!(path.exists(), "an inherited socket is not ours to remove");
    Ok(())
}
