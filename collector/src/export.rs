//! From a published view to bytes on a socket.
