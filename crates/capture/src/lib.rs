//! Where sessions come from: programs that hand their session over to the daemon.
