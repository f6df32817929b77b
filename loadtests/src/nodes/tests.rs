//! A few hosts, asked as Prometheus asks.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use serde_json::{Value, from_slice};

use super::{Flags, Places, Result, Serving};

/// Addresses that no other test has.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 1, 255);

fn flags(count: u32, file_sd: &Path) -> Result<Flags> {
    let port = TcpListener::bind((FIRST, 0))?.local_addr()?.port();
    let (web_config, auth_file) = (None, None);
    let file_sd = Some(file_sd.to_owned());
    Ok(Flags { count, users: 3, first: FIRST, port, seed: 7, interval: 1, threads: 1, web_config, auth_file, file_sd })
}

fn page(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn each_host_is_one_of_its_own_and_all_are_gone_at_the_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let flags = flags(3, &folder.path().join("nodes.json"))?;
    let serving = Serving::start(&flags)?;
    let mut figures = HashSet::new();
    for address in Places::new(flags.first, flags.port, flags.count)?.addresses() {
        let page = page(address)?;
        assert!(page.starts_with("HTTP/1.0 200"), "{page}");
        let of_user = |line: &&str| line.starts_with("uidmeter_processes{") && line.contains("user=\"user");
        let habits: Vec<&str> = page.lines().filter(of_user).collect();
        assert_eq!(habits.len(), 3, "{page}");
        figures.insert(habits.concat());
    }
    assert_eq!(figures.len(), 3, "hosts whose users are the same");
    let found: Value = from_slice(&std::fs::read(folder.path().join("nodes.json"))?)?;
    assert_eq!(found[0]["targets"][2], format!("127.77.2.1:{}", flags.port));
    serving.end();
    assert!(TcpStream::connect((FIRST, flags.port)).is_err());
    Ok(())
}

#[test]
fn a_place_that_is_taken_is_named_and_nothing_is_announced() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("nodes.json");
    let mut flags = flags(2, &file)?;
    let taken = TcpListener::bind((Ipv4Addr::new(127, 77, 3, 2), 0))?;
    (flags.first, flags.port) = (Ipv4Addr::new(127, 77, 3, 1), taken.local_addr()?.port());
    let found = Serving::start(&flags).err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(found.contains("127.77.3.2") && found.contains("in use"), "{found}");
    assert!(!file.exists());
    Ok(())
}
