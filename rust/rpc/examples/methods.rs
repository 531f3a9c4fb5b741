//! Prints the list of methods that `docs/rpc.md` holds.

fn main() {
    print!("{}", execlayer_rpc::documentation());
}
