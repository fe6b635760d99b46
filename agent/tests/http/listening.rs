//! Where it listens, and where it can't.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{advance, pause, resume, sleep, timeout},
};

use crate::{
    site::{Running, endpoints, until},
    visit::{DEADLINE, Place, Said, Visitor, listening},
};

fn web() -> Place {
    Place::new([("web", Said::Answer(endpoints([1])))])
}

#[tokio::test]
async fn an_address_that_is_taken_stops_nothing_and_is_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let place = web().set(&["status", "listen"], json!(address.to_string()));
    let running = Running::start(place.config());
    until("that to be told", || running.status.window().is_some_and(|window| window.error.is_some())).await;
    until("the service to be served all the same", || place.site.served("web") == [1]).await;
    let window = running.status.window().unwrap();
    assert_eq!((window.wanted, window.listening), (address, None));
    assert!(window.error.unwrap().contains("in use"));
    drop(taken);
    pause();
    advance(Duration::from_secs(11)).await;
    resume();
    assert_eq!(listening(&running).await, address);
    Visitor { address }.until_ready().await;
    running.stop().await;
}

#[tokio::test]
async fn another_configuration_moves_it_and_ends_it() {
    let place = web();
    let (mut running, visitor) = place.start().await;
    visitor.until_ready().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let place = place.set(&["status", "listen"], json!(free.to_string()));
    running.reconfigure(place.config()).await;
    until("it to move", || running.status.window().is_some_and(|window| window.listening == Some(free)))
        .await;
    Visitor { address: free }.until_ready().await;
    nobody_at(visitor.address).await;
    let place = place.set(&["status"], json!(null));
    running.reconfigure(place.config()).await;
    until("it to end", || running.status.window().is_none()).await;
    nobody_at(free).await;
    let place = place.set(&["status"], json!({ "listen": free.to_string() }));
    running.reconfigure(place.config()).await;
    Visitor { address: listening(&running).await }.until_ready().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_moves_from_one_address_to_all_of_them_without_a_pause() {
    let mut place = web();
    let (mut running, visitor) = place.start().await;
    visitor.until_ready().await;
    let port = visitor.address.port();
    // The port is the same: whoever has it has to leave it first.
    for host in ["0.0.0.0", "127.0.0.1"].into_iter().cycle().take(20) {
        let wanted = format!("{host}:{port}");
        place = place.set(&["status", "listen"], json!(wanted));
        running.reconfigure(place.config()).await;
        until("it to move", || {
            let window = running.status.window();
            assert_eq!(window.as_ref().and_then(|window| window.error.as_deref()), None);
            window.is_some_and(|window| window.listening.is_some() && window.wanted.to_string() == wanted)
        })
        .await;
        visitor.until_ready().await;
    }
    running.stop().await;
}

/// Waits until nobody listens there.
async fn nobody_at(address: SocketAddr) {
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, gone).await.expect("nobody listens any more");
}

#[tokio::test]
async fn without_the_section_nobody_listens() {
    let place = web().set(&["status"], json!(null));
    let mut running = Running::start(place.config());
    running.applied().await;
    assert_eq!(running.status.window(), None);
    running.stop().await;
}
