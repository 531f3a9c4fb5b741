//! The table of methods: each namespace has its rows, and everything that is said about a method (who runs it, whether
//! it is quick, its line in the documentation) stands in its row.

use std::fmt::Write as _;

use crate::{Context, debug, error::RpcError, eth, evm, execlayer, net, txpool, web3};

/// How long a call of a method may keep its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A few microseconds: may run on the caller's event loop.
    Quick,
    /// Executes code, recovers signatures, writes to the disk, or returns whole blocks: belongs on a thread of its own.
    Long,
}

/// A row of the table.
pub(crate) struct Method {
    /// As clients call it.
    pub(crate) name: &'static str,
    /// The parameters in their order; one that may be left out ends in `?`.
    pub(crate) params: &'static [&'static str],
    /// One line on what it answers.
    pub(crate) doc: &'static str,
    pub(crate) pace: Pace,
    /// Reads the parameters, does it, and appends the result's JSON.
    pub(crate) run: Run,
}

impl Method {
    /// Whether it changes a chain in ways that only a devnet allows.
    pub(crate) fn is_development(&self) -> bool {
        self.name.starts_with("evm_")
    }
}

pub(crate) type Run = fn(&Context<'_>, Option<&str>, &mut Vec<u8>) -> Result<(), RpcError>;

/// Makes rows: `name(params) pace handler "doc";`. A handler is a function of the context and a tuple of parameters.
macro_rules! methods {
    ($($name:ident($($param:literal),*) $pace:ident $handler:path, $doc:literal;)+) => {
        pub(crate) const METHODS: &[$crate::methods::Method] = &[$(
            $crate::methods::Method {
                name: stringify!($name),
                params: &[$($param),*],
                doc: $doc,
                pace: $crate::methods::Pace::$pace,
                run: |context, params, out| {
                    let arguments = $crate::arguments::Arguments::read(params)?;
                    $crate::json::ToJson::write(&$handler(context, arguments)?, out);
                    Ok(())
                },
            },
        )+];
    };
}
pub(crate) use methods;

/// Every method, by namespace.
pub(crate) const NAMESPACES: &[(&str, &[Method])] = &[
    ("debug", debug::METHODS),
    ("eth", eth::METHODS),
    ("evm", evm::METHODS),
    ("execlayer", execlayer::METHODS),
    ("net", net::METHODS),
    ("txpool", txpool::METHODS),
    ("web3", web3::METHODS),
];

/// Every method.
pub(crate) fn all() -> impl Iterator<Item = &'static Method> {
    NAMESPACES.iter().flat_map(|(_, methods)| methods.iter())
}

/// The list of methods as `docs/rpc.md` holds it.
pub fn documentation() -> String {
    let mut text = String::from(
        "# JSON-RPC methods\n\n\
         Made from the table in `rust/rpc`: `cargo run -p execlayer-rpc --example methods > docs/rpc.md`. A parameter that may be\n\
         left out ends in `?`. Any other method answers -32601.\n",
    );
    for (namespace, methods) in NAMESPACES {
        write!(text, "\n## {namespace}\n\n| method | parameters | what it answers |\n|---|---|---|\n")
            .expect(INFALLIBLE);
        for Method { name, params, doc, .. } in *methods {
            writeln!(text, "| `{name}` | {} | {doc} |", params.join(", ")).expect(INFALLIBLE);
        }
    }
    text
}

const INFALLIBLE: &str = "writing to a string cannot fail";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_and_belong_to_their_namespace() {
        for (namespace, methods) in NAMESPACES {
            assert!(methods.is_sorted_by_key(|method| method.name), "{namespace}");
            for Method { name, params, doc, .. } in *methods {
                assert!(name.starts_with(&format!("{namespace}_")), "{name}");
                assert!(doc.ends_with('.') && doc.len() < 120, "{name}: {doc}");
                let optional_first = params.iter().skip_while(|param| !param.ends_with('?'));
                assert!(optional_first.clone().all(|param| param.ends_with('?')), "{name}: {params:?}");
            }
        }
    }

    #[test]
    fn the_document_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rpc.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == documentation(),
            "docs/rpc.md is old: cargo run -p execlayer-rpc --example methods > docs/rpc.md"
        );
    }
}
