//! `web3_*`: the client, and a hash.

use chain::types::{B256, Bytes, keccak256};

use crate::{Context, error::RpcError, methods::methods};

methods! {
    web3_clientVersion() Quick client_version, "Name, version and platform of this node.";
    web3_sha3("data") Quick sha3, "Keccak-256 of the data.";
}

fn client_version(_: &Context<'_>, (): ()) -> Result<String, RpcError> {
    let (version, os, machine) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    Ok(format!("execlayer/v{version}/{os}-{machine}/rust"))
}

fn sha3(_: &Context<'_>, (data,): (Bytes,)) -> Result<B256, RpcError> {
    Ok(keccak256(data))
}
