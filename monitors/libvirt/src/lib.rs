//! A client of libvirtd's RPC protocol over its Unix socket, without any C library.
