//! By what means HAProxy is brought up to date.

use haproxy_render::Renderer;
use haproxy_runtime::{Applier, Live};

use crate::config;

/// How HAProxy gets to run what it should.
#[derive(Debug)]
pub(super) enum Way {
    /// By its file and reloads alone.
    Reloads { applier: Box<Applier>, renderer: Renderer },
    /// By commands, where they do.
    Commands(Box<Live>),
}

impl Way {
    pub(super) fn new(output: &config::Output, times: config::Times) -> Self {
        match (&output.socket, &output.file) {
            (Some(socket), Some(file)) => {
                let mut live = Live::new(file.clone(), socket.sockets.clone(), output.pace)
                    .with_settle(times.settle, times.settle_max)
                    .with_drain_timeout(socket.drain_timeout)
                    .with_init_state(socket.init_state)
                    .with_strangers(socket.strangers);
                if let Some(check) = &output.check {
                    live = live.with_check(check.clone());
                }
                if let Some(reload) = &output.reload {
                    live = live.with_reload(reload.clone());
                }
                Way::Commands(Box::new(live))
            }
            (_, file) => {
                let mut applier = Applier::new(output.pace);
                if let Some(file) = file {
                    applier = applier.with_file(file.clone());
                }
                if let Some(check) = &output.check {
                    applier = applier.with_check(check.clone());
                }
                if let Some(reload) = &output.reload {
                    applier = applier.with_reload(reload.clone());
                }
                Way::Reloads { applier: Box::new(applier), renderer: Renderer::default() }
            }
        }
    }
}
