//! A stand-in with the items that tcp-stream needs to compile, without PKCS #12. See `clients/stand-ins/README.md`.

use std::convert::Infallible;

/// A type without values: no file is ever read.
#[derive(Debug)]
pub struct KeyStore(Infallible);

impl KeyStore {
    /// Always fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn from_pkcs12(_: &[u8], _: &str) -> Result<Self, Error> {
        Err(Error)
    }

    pub fn private_key_chain(&self) -> Option<(&str, &PrivateKeyChain)> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct PrivateKeyChain(Infallible);

impl PrivateKeyChain {
    pub fn key(&self) -> &[u8] {
        match self.0 {}
    }

    pub fn chain(&self) -> &[Certificate] {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct Certificate(Infallible);

impl Certificate {
    pub fn as_der(&self) -> &[u8] {
        match self.0 {}
    }
}

/// The error of a stand-in that reads no files.
#[derive(Clone, Copy, Debug)]
pub struct Error;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PKCS #12 files are not supported; use PEM files for the certificate and its key")
    }
}

impl std::error::Error for Error {}
