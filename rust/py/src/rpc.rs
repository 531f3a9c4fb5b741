//! JSON-RPC: request bytes in, answer bytes out, for whoever holds the sockets.

use std::{collections::HashMap, sync::Arc};

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use rpc::{Development, Limits, Replies, RpcError, Server, Session};

use crate::{
    chain::PyChain,
    convert::argument,
    enter::{self, Source},
    error::Never,
    heads::duration,
    mined::PyMined,
};

/// Answers requests about a chain, which it keeps open.
#[pyclass(name = "Rpc", module = "execlayer._core", frozen)]
pub(crate) struct PyRpc {
    server: Arc<Server>,
    source: Source,
}

/// One client that can be pushed to.
#[pyclass(name = "Session", module = "execlayer._core", frozen)]
pub(crate) struct PySession {
    server: Arc<Server>,
    session: Session,
}

/// A reply of a registered function: the result's JSON, or an error's code, message and JSON data.
type Reply = (Option<String>, Option<(i64, String, Option<String>)>);

fn read_replies(replies: &Bound<'_, PyDict>) -> PyResult<Replies> {
    let wrong = |_| argument("replies", replies).wrong("{place: (json, None) or (None, (code, message, data))}");
    let replies: HashMap<usize, Reply> = replies.extract().map_err(wrong)?;
    let replies = replies.into_iter().filter_map(|(place, reply)| {
        let reply = match reply {
            (Some(json), _) => Ok(json),
            (None, error) => error.map(|(code, message, data)| Err(RpcError { code, message, data }))?,
        };
        Some((place, reply))
    });
    Ok(replies.collect())
}

#[pymethods]
impl PyRpc {
    /// With `development`, clients may do with the chain as they like: its well-known accounts sign for them, and with
    /// `automine` a transaction gets a block at once.
    #[new]
    #[pyo3(signature = (chain, *, development=true, automine=true))]
    fn new(py: Python<'_>, chain: &PyChain, development: bool, automine: bool) -> PyResult<Self> {
        let served = chain.chain(py)?;
        let server = if development {
            let keys = PyChain::keys(&served);
            Server::for_development(served, Limits::default(), Development::new(keys, automine))
        } else {
            Server::new(served, Limits::default())
        };
        Ok(Self { server: Arc::new(server), source: chain.source })
    }

    /// The answer where it takes microseconds; None where it would take longer or needs a registered function.
    #[pyo3(signature = (request, session=None))]
    fn handle_nowait<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        session: Option<&PySession>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let session = session.map(|session| &session.session);
        let answer = enter::read(py, self.source, || Ok::<_, Never>(self.server.handle_nowait(request, session)))?;
        Ok(answer.map(|answer| PyBytes::new(py, &answer)))
    }

    /// The request's calls of registered functions: place, name, parameters as JSON.
    fn foreign(&self, py: Python<'_>, request: &[u8]) -> PyResult<Vec<(usize, String, Option<String>)>> {
        let calls = enter::quick(py, || Ok::<_, Never>(self.server.foreign(request)))?;
        Ok(calls.into_iter().map(|call| (call.index, call.method, call.params)).collect())
    }

    /// The whole answer.
    fn handle_with<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        session: Option<&PySession>,
        replies: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let replies = read_replies(replies)?;
        let session = session.map(|session| &session.session);
        let answer = enter::long(py, || Ok::<_, Never>(self.server.handle_with(request, session, &replies)))?;
        Ok(PyBytes::new(py, &answer))
    }

    /// The answer that gives each call of the request this error.
    fn refuse<'py>(&self, py: Python<'py>, request: &[u8], code: i64, message: &str) -> PyResult<Bound<'py, PyBytes>> {
        let error = RpcError::new(code, message);
        let answer = enter::quick(py, || Ok::<_, Never>(self.server.refuse(request, &error)))?;
        Ok(PyBytes::new(py, &answer))
    }

    /// Makes a block of what waits, at the time that the clients of a devnet see.
    fn mine(&self, py: Python<'_>) -> PyResult<PyMined> {
        enter::long(py, || self.server.mine()).map(PyMined)
    }

    /// Marks a method as served by a registered function.
    fn reserve(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        enter::quick(py, || self.server.reserve(name))
    }

    /// A new client that can be pushed to.
    fn session(&self) -> PySession {
        PySession { session: Session::new(&self.server), server: Arc::clone(&self.server) }
    }
}

#[pymethods]
impl PySession {
    /// What happened since the last call, as messages ready to be sent.
    fn notifications<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let messages = enter::long(py, || Ok::<_, Never>(self.session.notifications(&self.server)))?;
        Ok(messages.iter().map(|message| PyBytes::new(py, message)).collect())
    }

    /// Waits until there is something to tell, or for that long; says which.
    fn wait(&self, py: Python<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<bool> {
        let timeout = duration("seconds", seconds)?;
        let moved =
            enter::wait(py, timeout, |slice| Ok::<_, Never>(self.session.wait(&self.server, slice).then_some(())));
        Ok(moved?.is_some())
    }
}
