//! The wire: request bytes in, answer bytes out. Knows no socket.
//!
//! [`Server::handle`] takes a JSON-RPC 2.0 request (one call, or a batch) and returns the answer, empty where nobody
//! waits for one. Codes and messages of errors are geth's. Whatever bytes come in, an answer goes out: nothing here
//! panics to its caller, and everything a request may ask for is bounded by [`Limits`].
//!
//! Who holds the sockets has three questions, and asks them in this order:
//! - [`Server::handle_nowait`]: the answer at once, where every call of the request is quick. None otherwise.
//! - [`Server::foreign`]: the calls of methods that somebody else serves (see [`Server::reserve`]), to be answered by them.
//! - [`Server::handle_with`]: the answer to the whole request, with theirs put in. This one belongs on a thread.
//!
//! A client that can be pushed to has a [`Session`], which keeps its subscriptions and makes their notifications.

mod arguments;
mod context;
mod debug;
mod development;
mod error;
mod eth;
mod evm;
mod execlayer;
mod forms;
mod json;
mod methods;
mod net;
mod request;
mod server;
mod session;
mod txpool;
mod web3;

pub(crate) use context::Context;
pub use development::Development;
pub use error::{RpcError, revert_reason};
pub use methods::documentation;
pub use server::{ForeignCall, Limits, NameTaken, Replies, Server};
pub use session::Session;
