//! Where one may listen with which settings.

use std::net::SocketAddr;

use super::{Mode, Settings};

impl Settings {
    /// Whether these settings suffice for `address`, with TLS or without. Unix sockets always do: the permissions of
    /// their files guard them.
    ///
    /// # Errors
    /// One sentence that says what is missing.
    pub fn may_listen(&self, address: SocketAddr, tls: bool) -> Result<(), String> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.mode == Mode::None && !self.certificates.sufficient {
            return Err(format!(
                "{address} is open to the network and nothing authenticates requests: set basic_auth_users or client_auth_type \
                 RequireAndVerifyClientCert in --web.config.file, or [jwt] in --web.auth-file, or listen on 127.0.0.1"
            ));
        }
        if !tls {
            return Err(format!(
                "{address} is open to the network and would carry credentials in the clear: set tls_server_config in \
                 --web.config.file, or listen on 127.0.0.1"
            ));
        }
        Ok(())
    }
}
