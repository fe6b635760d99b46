//! From the sources of one configuration to those of another.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use discovery_core::Health;
use haproxy_render::Name;

use super::{Identity, Member, Running, all_answered, make, silent};
use crate::{config::Config, connection::Connections, status::SourceView};

/// The sources of a configuration that is to be taken over: those that are new are at work already, beside those that they are to
/// replace. Dropping this stops them.
#[derive(Debug)]
pub(crate) struct Staged {
    /// In the order of the configuration.
    places: Vec<Place>,
    fresh: Vec<Arc<SourceView>>,
}

#[derive(Debug)]
enum Place {
    /// The source that the service has.
    Same(Name),
    New(Member),
}

impl Staged {
    /// Waits until each new source has answered or ended. Cancel safe.
    pub(crate) async fn first_answers(&self) {
        all_answered(&self.fresh).await;
    }

    /// The new sources that have not answered.
    pub(crate) fn silent(&self) -> Vec<Arc<SourceView>> {
        silent(&self.fresh)
    }
}

impl Running {
    /// Starts the sources that `config` has and this has not. What was staged `earlier` and not adopted is used where it fits, and
    /// stopped where not.
    pub(crate) fn stage(&mut self, config: &Config, earlier: Option<Staged>) -> Staged {
        let backoff = config.times.backoff;
        if backoff != self.backoff {
            // Those that there are wait as long as they were told to.
            *self.connections() = Connections::default();
            self.backoff = backoff;
        }
        let Self { members, connections, meter, .. } = self;
        let connections = connections.get_mut().unwrap_or_else(PoisonError::into_inner);
        let here: HashMap<&Name, Identity> = members
            .iter()
            // A source that has ended is as good as none.
            .filter(|member| !matches!(member.view.observed.borrow().health, Health::Ended { .. }))
            .map(|member| (&member.view.service, member.identity))
            .collect();
        let stays = |name: &Name, identity| here.get(name) == Some(&identity);
        let mut earlier: HashMap<Name, Member> = earlier
            .into_iter()
            .flat_map(|staged| staged.places)
            .filter_map(|place| match place {
                Place::New(member) => Some((member.view.service.clone(), member)),
                Place::Same(_) => None,
            })
            .collect();
        let (mut places, mut made) = (Vec::with_capacity(config.services.len()), Vec::new());
        for service in &config.services {
            let identity = Identity::of(service, backoff);
            if stays(&service.name, identity) {
                places.push(Some(Place::Same(service.name.clone())));
            } else if let Some(member) =
                earlier.remove(&service.name).filter(|member| member.identity == identity)
            {
                places.push(Some(Place::New(member)));
            } else {
                places.push(None);
                made.push(make(service, backoff, connections, meter));
            }
        }
        let mut begun = made.into_iter();
        let places: Vec<Place> = places
            .into_iter()
            .filter_map(|place| place.or_else(|| begun.next().map(|made| Place::New(self.begin(made)))))
            .collect();
        self.drive();
        let fresh = places.iter().filter_map(|place| match place {
            Place::New(member) => Some(Arc::clone(&member.view)),
            Place::Same(_) => None,
        });
        let fresh = fresh.collect();
        Staged { places, fresh }
    }

    /// Has these sources, and no others. Returns the services whose source is another than before, or new.
    pub(crate) fn adopt(&mut self, staged: Staged) -> HashSet<Name> {
        let members = std::mem::take(&mut self.members);
        let mut before: HashMap<Name, Member> =
            members.into_iter().map(|member| (member.view.service.clone(), member)).collect();
        let members = staged
            .places
            .into_iter()
            .filter_map(|place| match place {
                Place::Same(name) => before.remove(&name),
                Place::New(member) => Some(member),
            })
            .collect();
        self.set(members);
        self.shown.send_replace(self.members.iter().map(|member| Arc::clone(&member.view)).collect());
        staged.fresh.iter().map(|view| view.service.clone()).collect()
    }
}
