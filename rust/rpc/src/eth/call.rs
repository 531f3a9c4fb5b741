//! Calls that nobody signed: what they would return, and how much gas they need.

use chain::{
    BlockRef,
    evm::{HaltReason, Outcome},
    exec::call::{AccessListed, BlockOverrides, CallError, CallRequest, Desk, OverrideError, StateOverrides},
    types::{AccessList, Address, B256, Bytes, SignedAuthorization, U256},
};

use crate::{
    Context,
    arguments::{Argument, At, each_field},
    error::RpcError,
    json::{Fields, Object, ToJson},
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
    pub(super) blob_hashes: Option<Vec<B256>>,
    pub(super) max_fee_per_blob_gas: Option<u128>,
    pub(super) authorizations: Option<Vec<SignedAuthorization>>,
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
                "blobVersionedHashes" => form.blob_hashes = Argument::read(value)?,
                "maxFeePerBlobGas" => form.max_fee_per_blob_gas = Argument::read(value)?,
                "authorizationList" => form.authorizations = Argument::read(value)?,
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
            gas_price: self.gas_price,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            value: self.value.unwrap_or_default(),
            input: self.input.unwrap_or_default(),
            access_list: self.access_list.unwrap_or_default(),
            blob_hashes: self.blob_hashes.unwrap_or_default(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas,
            authorizations: self.authorizations.unwrap_or_default(),
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::View(error) => error.into(),
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

/// State and block as a call wants them; both may be left out.
type Overrides = (Option<StateOverrides>, Option<BlockOverrides>);

impl From<OverrideError> for RpcError {
    fn from(error: OverrideError) -> Self {
        Self::refused(error.to_string())
    }
}

/// Where the call is tried.
fn desk(context: &Context<'_>, block: BlockRef, (state, seen): Overrides) -> Result<Desk, RpcError> {
    let desk = context.chain().desk(block, &seen.unwrap_or_default())?;
    Ok(desk.with_state(&state.unwrap_or_default())?)
}

type Call = (CallForm, At, Option<StateOverrides>, Option<BlockOverrides>);

pub(super) fn call(context: &Context<'_>, (form, at, state, seen): Call) -> Result<Bytes, RpcError> {
    let desk = desk(context, context.checked(at)?, (state, seen))?;
    match desk.call(&bounded(context, form))?.outcome {
        Outcome::Success { output, .. } => Ok(output),
        outcome => Err(failure(&outcome)),
    }
}

type Estimate = (CallForm, Option<At>, Option<StateOverrides>, Option<BlockOverrides>);

pub(super) fn estimate_gas(context: &Context<'_>, (form, at, state, seen): Estimate) -> Result<u64, RpcError> {
    let block = at.map_or(Ok(BlockRef::Pending), |at| context.checked(at))?;
    let desk = desk(context, block, (state, seen))?;
    let most = context.limits().call_gas;
    let gas_limit = form.gas.unwrap_or(desk.block().gas_limit).min(most);
    Ok(desk.estimate_gas(&CallRequest { gas_limit: Some(gas_limit), ..form.request() })?)
}

/// An access list, and how the call went that had it.
pub(super) struct AccessListForm(AccessListed);

impl ToJson for AccessListForm {
    fn write(&self, out: &mut Vec<u8>) {
        let AccessListed { access_list, executed } = &self.0;
        let error = (!executed.outcome.is_success()).then(|| failure(&executed.outcome).message);
        Fields(|object: &mut Object<'_>| {
            object.field("accessList", &access_list.0);
            object.maybe("error", error.as_ref()).field("gasUsed", &executed.gas_used);
        })
        .write(out);
    }
}

pub(super) fn create_access_list(
    context: &Context<'_>,
    (form, at, state): (CallForm, Option<At>, Option<StateOverrides>),
) -> Result<AccessListForm, RpcError> {
    let block = at.map_or(Ok(BlockRef::Pending), |at| context.checked(at))?;
    let desk = desk(context, block, (state, None))?;
    Ok(AccessListForm(desk.access_list(&bounded(context, form))?))
}
