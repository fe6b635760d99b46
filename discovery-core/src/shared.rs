//! What sources are made of whose services share one connection.
//!
//! One task, the driver, holds the connection and learns what is registered; each service has a [`Watcher`](crate::Watcher)
//! that only looks at what the driver has written down for it. Between the two stands a [`Slot`] in a
//! [`tokio::sync::watch`] channel: the driver writes it, and the service's watcher reads it through a [`View`], however rarely
//! it looks, without missing news. [`Rounds`] and [`Outage`] are for the driver: which server comes when, and what is told to the
//! services while none can be reached.
//!
//! ```
//! use discovery_core::{Endpoint, Snapshot, shared::{Slot, View}};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (driver, seen) = watch::channel(Slot::<Vec<Endpoint>>::default());
//! let mut view = View::new("reading /web", seen, |endpoints| Snapshot::new(endpoints.iter().cloned()));
//!
//! let endpoint = Endpoint::new("10.0.0.7".parse()?, 8080)?;
//! driver.send_modify(|slot| {
//!     slot.update(|endpoints| { endpoints.push(endpoint); true });
//! });
//! assert_eq!(view.next().await?.len(), 1);
//! # Ok(())
//! # }
//! ```

mod outage;
mod rounds;
mod slot;
mod view;

pub use outage::Outage;
pub use rounds::{Next, Rounds};
pub use slot::Slot;
pub use view::View;
