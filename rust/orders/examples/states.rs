//! Prints the page of the state machine; `make docs` writes it to docs/orders/states.md.

fn main() {
    print!("{}", execlayer_orders::states::page());
}
