//! Calls that nobody signed: what they would return, and how much gas they need.

use chain::{
    BlockRef, CallError, CallRequest,
    evm::{HaltReason, Outcome},
    types::{AccessList, Address, Bytes, U256},
};

use crate::{
    Context,
    arguments::{Argument, At, each_field},
    error::RpcError,
};

/// What geth calls transaction arguments: of a call, or of a transaction that this node is to sign.
#[derive(Clone, Debug, Default)]
pub(super) struct CallForm {
    pub(super) from: Option<Address>,
    pub(super) to: Option<Address>,
    pub(super) gas: Option<u64>,
    pub(super) gas_price: Option<u128>,
    pub(super) max_fee_per_gas: Option<u128>,
    pub(super) max_priority_fee_per_gas: Option<u128>,
    pub(super) value: Option<U256>,
    pub(super) nonce: Option<u64>,
    pub(super) input: Option<Bytes>,
    pub(super) access_list: Option<AccessList>,
    pub(super) chain_id: Option<u64>,
}

impl Argument for CallForm {
    fn read(json: &str) -> Result<Self, String> {
        let (mut form, mut data) = (Self::default(), None::<Bytes>);
        each_field(json, "transaction", |name, value| {
            match name {
                "from" => form.from = Argument::read(value)?,
                "to" => form.to = Argument::read(value)?,
                "gas" => form.gas = Argument::read(value)?,
                "gasPrice" => form.gas_price = Argument::read(value)?,
                "maxFeePerGas" => form.max_fee_per_gas = Argument::read(value)?,
                "maxPriorityFeePerGas" => form.max_priority_fee_per_gas = Argument::read(value)?,
                "value" => form.value = Argument::read(value)?,
                "nonce" => form.nonce = Argument::read(value)?,
                "input" => form.input = Argument::read(value)?,
                "data" => data = Argument::read(value)?,
                "accessList" => form.access_list = Argument::read(value)?,
                "chainId" => form.chain_id = Argument::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        if let (Some(input), Some(data)) = (&form.input, &data)
            && input != data
        {
            return Err("both \"data\" and \"input\" are set and not equal; please use \"input\"".to_owned());
        }
        if form.gas_price.is_some() && (form.max_fee_per_gas.is_some() || form.max_priority_fee_per_gas.is_some()) {
            return Err("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".to_owned());
        }
        form.input = form.input.or(data);
        Ok(form)
    }
}

impl CallForm {
    pub(super) fn request(self) -> CallRequest {
        CallRequest {
            from: self.from.unwrap_or_default(),
            to: self.to,
            gas_limit: self.gas,
            gas_price: self.gas_price.or(self.max_fee_per_gas),
            value: self.value.unwrap_or_default(),
            input: self.input.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Chain(error) => error.into(),
            CallError::Unsuccessful(outcome) => failure(&outcome),
            other => Self::refused(other.to_string()),
        }
    }
}

/// How an outcome that is no success is reported.
fn failure(outcome: &Outcome) -> RpcError {
    match outcome {
        Outcome::Revert { output } => RpcError::reverted(output),
        Outcome::Halt { reason: HaltReason::OutOfGas } => RpcError::refused("out of gas"),
        Outcome::Halt { reason } => RpcError::refused(reason.to_string()),
        Outcome::Success { .. } => RpcError::internal("a success was taken for a failure"),
    }
}

/// The request, with no more gas than a client may spend.
fn bounded(context: &Context<'_>, form: CallForm) -> CallRequest {
    let most = context.limits().call_gas;
    CallRequest { gas_limit: Some(form.gas.map_or(most, |gas| gas.min(most))), ..form.request() }
}

pub(super) fn call(context: &Context<'_>, (form, at): (CallForm, At)) -> Result<Bytes, RpcError> {
    let block = context.checked(at)?;
    match context.chain().call(&bounded(context, form), block)?.outcome {
        Outcome::Success { output, .. } => Ok(output),
        outcome => Err(failure(&outcome)),
    }
}

pub(super) fn estimate_gas(context: &Context<'_>, (form, at): (CallForm, Option<At>)) -> Result<u64, RpcError> {
    let block = at.map_or(Ok(BlockRef::Pending), |at| context.checked(at))?;
    Ok(context.chain().estimate_gas(&bounded(context, form), block)?)
}
