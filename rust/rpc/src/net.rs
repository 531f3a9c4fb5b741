//! `net_*`: what a client asks about peers; a node without a network of its own says so.

use crate::{Context, error::RpcError, methods::methods};

methods! {
    net_listening() Quick listening, "Whether peers may connect: always true, as clients take false for broken.";
    net_peerCount() Quick peer_count, "Connected peers: none.";
    net_version() Quick version, "The chain's number, in decimal.";
}

fn listening(_: &Context<'_>, (): ()) -> Result<bool, RpcError> {
    Ok(true)
}

fn peer_count(_: &Context<'_>, (): ()) -> Result<u64, RpcError> {
    Ok(0)
}

fn version(context: &Context<'_>, (): ()) -> Result<String, RpcError> {
    Ok(context.chain().spec().chain_id.to_string())
}
