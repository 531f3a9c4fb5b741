"""JSON-RPC without sockets: request bytes in, answer bytes out."""

from __future__ import annotations

import json

from execlayer import Chain, _core


class Requests:
    """A devnet's methods."""

    def setup(self) -> None:
        """Asks everything once and looks at the answers."""
        self.chain = Chain.dev()
        self.rpc = _core.Rpc(self.chain.core)
        address = self.chain.accounts[0].address
        self.chain_id = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
        self.balance = json.dumps(
            {"jsonrpc": "2.0", "id": 2, "method": "eth_getBalance", "params": [address, "latest"]}
        ).encode()
        self.batch = b"[" + b",".join([self.balance] * 50) + b"]"
        for request, expected in ((self.chain_id, "0x7a69"), (self.balance, hex(10**22))):
            answer = self.rpc.handle_nowait(request, None)
            if answer is None or json.loads(answer)["result"] != expected:
                raise RuntimeError(f"{request.decode()} gave {answer!r}")

    def teardown(self) -> None:
        """Lets the chain go."""
        self.chain.close()

    def time_chain_id(self) -> None:
        """The simplest method."""
        self.rpc.handle_nowait(self.chain_id, None)

    def time_balance(self) -> None:
        """One look into the state."""
        self.rpc.handle_nowait(self.balance, None)

    def time_batch_of_fifty(self) -> None:
        """Fifty looks in one request."""
        self.rpc.handle_nowait(self.batch, None)
