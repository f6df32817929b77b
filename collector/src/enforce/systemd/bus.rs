//! What is asked of systemd, over the system's D-Bus (`org.freedesktop.systemd1(5)`). Every call ends in bounded time.

use std::time::Duration;

use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, Variant, connection::Builder};

/// Nothing that is asked here takes systemd long; meanwhile nobody's lease can end.
const DEADLINE: Duration = Duration::from_secs(3);

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SLICE: &str = "org.freedesktop.systemd1.Slice";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A property of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enforce) enum Setting {
    /// `t`; `u64::MAX` means none.
    Number(u64),
    /// `a(st)`: by path of a disk.
    Rates(Vec<(String, u64)>),
    /// `s`.
    Text(String),
}

/// A service manager.
pub(in crate::enforce) trait Bus {
    /// A property of a slice, which is loaded if it is not.
    fn get(&mut self, unit: &str, name: &str) -> Result<Setting, String>;

    /// Sets properties of a slice until the next boot.
    fn set(&mut self, unit: &str, name: &str, setting: &Setting) -> Result<(), String>;
}

/// systemd.
pub(in crate::enforce) struct SystemBus {
    runtime: tokio::runtime::Runtime,
    /// Opened anew after a failure.
    connection: Option<Connection>,
}

impl SystemBus {
    /// Asks for systemd's version, so that it is known to answer.
    pub(in crate::enforce) fn open() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut bus = Self { runtime: runtime.map_err(|error| error.to_string())?, connection: None };
        bus.property(MANAGER_PATH, MANAGER, "Version")?;
        Ok(bus)
    }

    /// Calls a method; after a failure the next call begins with a new connection.
    fn call<B>(&mut self, path: &str, interface: &str, method: &str, body: &B) -> Result<Message, String>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let before = self.connection.take();
        let ask = async {
            let connection = match before {
                Some(connection) => connection,
                None => Builder::system().build().await?,
            };
            let reply = connection.call_method(Some(SERVICE), path, Some(interface), method, body).await;
            Ok::<_, zbus::Error>((connection, reply))
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, ask).await });
        match answer {
            Err(_) => Err(format!("it has not answered within {DEADLINE:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok((connection, reply))) => {
                if !matches!(reply, Err(zbus::Error::InputOutput(_))) {
                    self.connection = Some(connection);
                }
                reply.map_err(|error| error.to_string())
            }
        }
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<OwnedVariant, String> {
        let reply = self.call(path, PROPERTIES, "Get", &(interface, name))?;
        reply.body().deserialize().map_err(|error| error.to_string())
    }
}

impl Bus for SystemBus {
    fn get(&mut self, unit: &str, name: &str) -> Result<Setting, String> {
        let reply = self.call(MANAGER_PATH, MANAGER, "LoadUnit", &unit)?;
        let path: OwnedObjectPath = reply.body().deserialize().map_err(|error| error.to_string())?;
        let value = self.property(path.as_str(), SLICE, name)?;
        let setting = match &*value {
            Variant::U64(number) => Setting::Number(*number),
            Variant::Str(text) => Setting::Text(text.to_string()),
            _ => Setting::Rates(Vec::try_from(value).map_err(|error| error.to_string())?),
        };
        Ok(setting)
    }

    fn set(&mut self, unit: &str, name: &str, setting: &Setting) -> Result<(), String> {
        let value = match setting {
            Setting::Number(number) => Variant::from(*number),
            Setting::Text(text) => Variant::from(text.as_str()),
            Setting::Rates(rates) => Variant::from(rates.clone()),
        };
        let is_runtime = true;
        self.call(MANAGER_PATH, MANAGER, "SetUnitProperties", &(unit, is_runtime, vec![(name, value)])).map(drop)
    }
}
