//! What a transaction of kind 0x54 does when its turn comes: all of its moves, or none.
//!
//! It is charged and settled as any transaction; its moves run in one frame of the assets account, so a move that is
//! refused takes those before it back, and the receipt says failure.

use types::tx::asset_transfer::AssetTransfer;

use crate::{
    assets,
    frame::{self, Fault, FrameResult, Machine, Message},
};

pub(super) fn run(
    machine: &mut Machine<'_, '_>,
    message: Message,
    transfer: &AssetTransfer,
) -> Result<FrameResult, Fault> {
    frame::run_native(machine, message, |frame, machine| assets::move_all(frame, machine, transfer))
}
