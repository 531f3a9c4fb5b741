//! What two workers did to each other: which transactions have to run again, and in which units.

use alloy_primitives::map::HashMap;
use state::{Clash, Each, Footprints, Place, Touch};
use types::{Address, U256};

use super::{crew::Crew, meet::Sets, run::Done, units::Units};

/// The places at which two workers clash, listed at both.
pub(super) fn between(crew: &Crew, workers: &[Done<'_>]) -> Vec<Vec<Place>> {
    let touched: Vec<_> = workers.iter().map(|done| done.overlay.touched(&done.footprints, &done.presence)).collect();
    let parts = crew.workers();
    let pairs = (0..workers.len()).flat_map(|one| (one + 1..workers.len()).map(move |two| (one, two)));
    let work: Vec<_> = pairs.flat_map(|pair| (0..parts).map(move |part| (pair, part))).collect();
    let compare = |((one, two), part): &((usize, usize), usize)| touched[*one].clashes(&touched[*two], *part, parts);
    let clashes: Vec<Vec<Clash>> = crew.each(&work, compare);
    let mut places = vec![Vec::new(); workers.len()];
    for (((one, two), _), clashes) in work.into_iter().zip(clashes) {
        for Clash { here, there } in clashes {
            places[one].push(here);
            places[two].push(there);
        }
    }
    places
}

/// The transactions of one worker that touched one of these places, and all that hang together with them: whoever
/// touched a place that has to stay in order with one of those. A mark for each.
pub(super) fn dragged(footprints: &Footprints, places: &[Place]) -> Vec<bool> {
    let mut marks = vec![false; footprints.len()];
    if places.is_empty() {
        return marks;
    }
    let mut who: HashMap<Place, Vec<u32>> = HashMap::default();
    for transaction in 0..footprints.len() {
        for footprint in footprints.of(transaction) {
            who.entry(footprint.place).or_default().push(transaction as u32);
        }
    }
    let mut open: Vec<Place> = places.to_vec();
    while let Some(place) = open.pop() {
        // Each place is walked once.
        for transaction in who.remove(&place).unwrap_or_default() {
            if std::mem::replace(&mut marks[transaction as usize], true) {
                continue;
            }
            let ordered = footprints.of(transaction as usize).iter().map(|footprint| footprint.place);
            open.extend(ordered.filter(|place| footprints.touch(*place).is_ordered()));
        }
    }
    marks
}

/// Units by what the transactions really touched. `chosen` lists them ascending.
pub(super) fn units(workers: &[Done<'_>], marks: &[Vec<bool>], chosen: &[u32]) -> Units {
    let mut places: HashMap<(Address, Option<U256>), (Touch, Vec<u32>)> = HashMap::default();
    for (done, marks) in workers.iter().zip(marks) {
        for (transaction, number) in done.transactions.iter().enumerate().filter(|(transaction, _)| marks[*transaction])
        {
            let position = chosen.binary_search(number).expect("chosen are the marked ones") as u32;
            for footprint in done.footprints.of(transaction) {
                let place = match footprint.place {
                    Place::Account(account) => (done.overlay.address(account), None),
                    Place::Slot(slot) => {
                        let (account, key) = done.overlay.slot_key(slot);
                        (done.overlay.address(account), Some(key))
                    }
                };
                let (touch, who) = places.entry(place).or_default();
                *touch = touch.and(footprint.touch);
                who.push(position);
            }
        }
    }
    let sets = Sets::new(chosen.len());
    for (_, who) in places.values().filter(|(touch, _)| touch.is_ordered()) {
        who.iter().for_each(|position| sets.join(who[0], *position));
    }
    Units::new(&sets)
}
