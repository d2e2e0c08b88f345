//! The network, in a process of its own: a child being launched holds copies of all descriptors up
//! to its exec(2), so a listener that a test has closed may stay open for a moment longer.
#![allow(clippy::disallowed_methods)]

use orrery_runtime::{Address, contract};
use orrery_runtime_real::runtime;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    contract::network::check(&runtime()).await;
}

#[tokio::test]
async fn keeps_the_contract_on_one_thread() {
    contract::network::check(&runtime()).await;
}

#[tokio::test]
async fn names_resolve_and_an_error_of_connecting_names_the_address() {
    let runtime = runtime();
    let mut listener = runtime.network.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address();
    let by_name = Address::new("localhost", address.port());
    let (client, server) = tokio::join!(runtime.network.connect(&by_name), listener.accept());
    assert_eq!(client.unwrap().local, server.unwrap().peer);

    let error = runtime.network.listen(address).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    let error = runtime.network.connect(&Address::from(address)).await.unwrap_err();
    // Whoever wanted the connection says to whom.
    assert!(error.to_string().starts_with("Connection refused"), "{error}");
}
