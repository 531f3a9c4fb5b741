//! From a request to its answer: finds each call's method, runs it, writes the envelope around what it gave.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, RwLock},
};

use chain::{Chain, ChainError, MineError, Mined, Stop};

use crate::{
    Session,
    context::Context,
    development::{Clock, Development},
    error::RpcError,
    eth,
    json::ToJson,
    methods::{self, Method, Pace},
    request::{self, Call, Request},
};

/// How much one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in a batch.
    pub batch_length: usize,
    /// Calls of a batch that [`Server::handle_nowait`] still answers: 100 take well under a millisecond.
    pub batch_length_nowait: usize,
    /// Bytes of the answer to a whole batch.
    pub answer_bytes: usize,
    /// Blocks that `eth_getLogs` and `eth_feeHistory` look through.
    pub block_range: u64,
    /// Logs in one answer.
    pub logs: usize,
    /// Gas that `eth_call` and `eth_estimateGas` may spend.
    pub call_gas: u64,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Blocks that one call may mine.
    pub blocks_mined: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_length: 1_000,
            batch_length_nowait: 100,
            answer_bytes: 25_000_000,
            block_range: 10_000,
            logs: 20_000,
            call_gas: 50_000_000,
            subscriptions: 128,
            blocks_mined: 10_000,
        }
    }
}

/// A name that cannot be reserved: a method of ours has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the method {0} is served already; a registered function never replaces one silently")]
pub struct NameTaken(pub String);

/// A call that somebody else answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCall {
    /// Its place in the request.
    pub index: usize,
    /// The method's name.
    pub method: String,
    /// The `params` member as JSON, where there is one.
    pub params: Option<String>,
}

/// What the others answered, by the call's place in the request: the result as JSON, or an error.
pub type Replies = HashMap<usize, Result<String, RpcError>>;

/// Answers requests about one chain. Shared by all connections and threads.
pub struct Server {
    chain: Arc<Chain>,
    limits: Limits,
    methods: HashMap<&'static str, &'static Method>,
    reserved: RwLock<HashSet<String>>,
    development: Option<Development>,
}

impl Server {
    /// Serves a chain.
    pub fn new(chain: Arc<Chain>, limits: Limits) -> Self {
        let served = methods::all().filter(|method| !method.is_development());
        let methods = served.map(|method| (method.name, method)).collect();
        Self { chain, limits, methods, reserved: RwLock::default(), development: None }
    }

    /// Serves a chain with which its clients may do as they like.
    pub fn for_development(chain: Arc<Chain>, limits: Limits, development: Development) -> Self {
        let methods = methods::all().map(|method| (method.name, method)).collect();
        Self { chain, limits, methods, reserved: RwLock::default(), development: Some(development) }
    }

    /// What makes this a devnet.
    pub fn development(&self) -> Option<&Development> {
        self.development.as_ref()
    }

    /// Makes a block of what waits. On a devnet it has the time that its clients see, however they moved the clock.
    ///
    /// # Errors
    /// As [`Chain::mine`].
    pub fn mine(&self) -> Result<Mined, MineError> {
        match &self.development {
            Some(development) => development.mine(&self.chain),
            None => self.chain.mine(Clock::default().take()),
        }
    }

    /// The chain that is served.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// How much one request may ask for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers a request; empty: it had only notifications. Calls of reserved methods are refused here.
    pub fn handle(&self, request: &[u8]) -> Vec<u8> {
        self.handle_with(request, None, &Replies::new())
    }

    /// The answer, where every call of the request is quick; None: ask [`Server::foreign`] and
    /// [`Server::handle_with`].
    pub fn handle_nowait(&self, request: &[u8], session: Option<&Session>) -> Option<Vec<u8>> {
        let parsed = request::read(request, self.limits.batch_length);
        let quick = match &parsed {
            Ok(Request::Single(call)) => self.is_quick(call),
            Ok(Request::Batch { calls, .. }) => {
                calls.len() <= self.limits.batch_length_nowait && calls.iter().all(|call| self.is_quick(call))
            }
            Err(_) => true,
        };
        quick.then(|| self.answer(parsed, session, &Replies::new()))
    }

    /// The request's calls of reserved methods.
    pub fn foreign(&self, request: &[u8]) -> Vec<ForeignCall> {
        let reserved = self.reserved.read().unwrap_or_else(PoisonError::into_inner);
        let calls = match request::read(request, self.limits.batch_length) {
            _ if reserved.is_empty() => return Vec::new(),
            Err(_) => return Vec::new(),
            Ok(Request::Batch { length, .. }) if length > self.limits.batch_length => return Vec::new(),
            Ok(Request::Batch { calls, .. }) => calls,
            Ok(Request::Single(call)) => vec![call],
        };
        let named = calls.into_iter().enumerate().filter_map(|(index, call)| Some((index, call.content.ok()?)));
        let foreign = named.filter(|(_, (method, _))| reserved.contains(method.as_ref()));
        foreign
            .map(|(index, (method, params))| ForeignCall {
                index,
                method: method.into_owned(),
                params: params.map(str::to_owned),
            })
            .collect()
    }

    /// Answers a request with the replies of others put in where they belong.
    pub fn handle_with(&self, request: &[u8], session: Option<&Session>, replies: &Replies) -> Vec<u8> {
        self.answer(request::read(request, self.limits.batch_length), session, replies)
    }

    /// The answer that gives every call of the request this error: it took too long, for one.
    pub fn refuse(&self, request: &[u8], error: &RpcError) -> Vec<u8> {
        let mut out = Vec::new();
        match request::read(request, self.limits.batch_length) {
            Err(_) => write_error(Some("null"), error, &mut out),
            Ok(Request::Single(call)) => write_error(call.id, error, &mut out),
            Ok(Request::Batch { calls, .. }) => {
                out.push(b'[');
                for id in calls.iter().filter_map(|call| call.id) {
                    if out.len() > 1 {
                        out.push(b',');
                    }
                    write_error(Some(id), error, &mut out);
                }
                if out.len() == 1 { out.clear() } else { out.push(b']') }
            }
        }
        out
    }

    /// Marks a name as served by somebody else.
    pub fn reserve(&self, name: &str) -> Result<(), NameTaken> {
        let mut reserved = self.reserved.write().unwrap_or_else(PoisonError::into_inner);
        if self.methods.contains_key(name) || !reserved.insert(name.to_owned()) {
            return Err(NameTaken(name.to_owned()));
        }
        Ok(())
    }

    fn is_quick(&self, call: &Call<'_>) -> bool {
        let Ok((name, _)) = &call.content else { return true };
        match self.methods.get(name.as_ref()) {
            Some(method) => method.pace == Pace::Quick,
            None => !self.reserved.read().unwrap_or_else(PoisonError::into_inner).contains(name.as_ref()),
        }
    }

    fn answer(&self, request: Result<Request<'_>, RpcError>, session: Option<&Session>, replies: &Replies) -> Vec<u8> {
        let mut context = Context { server: self, session, recovered: HashMap::new() };
        let mut out = Vec::with_capacity(256);
        match request {
            Err(error) => write_error(Some("null"), &error, &mut out),
            Ok(Request::Single(call)) => self.answer_call(&context, &call, replies.get(&0), &mut out),
            Ok(Request::Batch { length: 0, .. }) => {
                write_error(Some("null"), &RpcError::invalid_request("empty batch"), &mut out);
            }
            Ok(Request::Batch { calls, length }) if length > self.limits.batch_length => {
                let id = calls.iter().find_map(|call| call.id);
                out.push(b'[');
                write_error(id.or(Some("null")), &RpcError::invalid_request("batch too large"), &mut out);
                out.push(b']');
            }
            Ok(Request::Batch { calls, .. }) => {
                let named = calls.iter().filter_map(|call| call.content.as_ref().ok());
                context.recovered = eth::recover_batch(named.map(|(name, params)| (name.as_ref(), *params)));
                self.answer_batch(&context, &calls, replies, &mut out);
            }
        }
        out
    }

    fn answer_batch(&self, context: &Context<'_>, calls: &[Call<'_>], replies: &Replies, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, call) in calls.iter().enumerate() {
            let start = out.len();
            if start > 1 && call.id.is_some() {
                out.push(b',');
            }
            if start > self.limits.answer_bytes {
                write_error(call.id, &RpcError::answer_too_large(), out);
                continue;
            }
            let begun = out.len();
            self.answer_call(context, call, replies.get(&index), out);
            if out.len() > self.limits.answer_bytes {
                out.truncate(begun);
                write_error(call.id, &RpcError::answer_too_large(), out);
            }
        }
        if out.len() == 1 { out.clear() } else { out.push(b']') }
    }

    /// Runs one call and appends its answer; a notification runs all the same, and its answer is dropped.
    fn answer_call(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        reply: Option<&Result<String, RpcError>>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(call.id.unwrap_or("null").as_bytes());
        out.extend_from_slice(b",\"result\":");
        let done = match &call.content {
            Err(error) => Err(error.clone()),
            Ok((name, params)) => match (self.methods.get(name.as_ref()), reply) {
                (Some(method), _) => run(method, context, *params, out),
                (None, Some(Ok(json))) => {
                    out.extend_from_slice(json.as_bytes());
                    Ok(())
                }
                (None, Some(Err(error))) => Err(error.clone()),
                (None, None) => Err(RpcError::unknown_method(name)),
            },
        };
        match done {
            Ok(()) => out.push(b'}'),
            Err(error) => {
                out.truncate(start);
                write_error(call.id, &error, out);
            }
        }
        if call.id.is_none() {
            out.truncate(start);
        }
    }
}

/// Runs a method, unless nobody waits for it any more. A panic in it is a bug of ours; it becomes an error of this one
/// call.
fn run(method: &Method, context: &Context<'_>, params: Option<&str>, out: &mut Vec<u8>) -> Result<(), RpcError> {
    Stop::current().check().map_err(ChainError::from)?;
    catch_unwind(AssertUnwindSafe(|| (method.run)(context, params, out)))
        .unwrap_or_else(|_| Err(RpcError::internal("method handler crashed")))
}

/// Appends an error's envelope, unless nobody waits for it.
fn write_error(id: Option<&str>, error: &RpcError, out: &mut Vec<u8>) {
    let Some(id) = id else { return };
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"error\":");
    error.write(out);
    out.push(b'}');
}
