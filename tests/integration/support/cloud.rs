//! Workers of a world whose state or inbox is elsewhere than in its store.

use std::sync::Arc;

use codehealer::healer::{Directory, Healer, Ports, Worker};
use codehealer::local::embedder::StructuralEmbedder;
use codehealer::local::notifier::FileNotifier;
use codehealer::model::Repository;
use codehealer::ports::{Inbox, Notice, State};

use super::world::{DEVELOP, World, detector};

/// The ports of a world with its state there.
fn ports(world: &World, state: Arc<dyn State>) -> Ports {
    let seen = Arc::clone(&world.shown);
    let show = Arc::new(move |notice: &Notice| seen.lock().unwrap().push(notice.clone()));
    Ports {
        forge: world.forge.clone(),
        state,
        team: world.team.clone(),
        memory: Arc::new(world.store.memory()),
        embedder: Arc::new(StructuralEmbedder),
        model: world.model.clone(),
        fallback_model: None,
        large_model: None,
        notifier: Arc::new(FileNotifier::new(world.folder().join("notices"), show)),
        external: None,
        clock: world.clock.clone(),
    }
}

/// A worker of a world with its state and its inbox there.
pub fn worker(world: &World, state: Arc<dyn State>, inbox: Arc<dyn Inbox>) -> Worker {
    let healer = Healer::new(ports(world, state), detector(), world.policy.clone(), "elsewhere".to_owned());
    let watched: [(Repository, Vec<String>); 1] = [(world.repository(), vec![DEVELOP.to_owned()])];
    Worker::new(healer, inbox, Directory::of_clones(watched))
}
