//! What two workers did to each other: which transactions have to run again, and in which units.

use alloy_primitives::map::HashMap;
use state::{Clash, Each, Footprints, Place, Touch};
use types::{Address, Recovered, U256};

use super::{
    crew::Crew,
    meet::Sets,
    run::Done,
    units::{Hints, Units},
};

/// The places at which two workers clash, listed at both; the first `compared` of them do not among themselves.
pub(super) fn between(crew: &Crew, workers: &[Done<'_>], compared: usize) -> Vec<Vec<Place>> {
    let touched: Vec<_> = workers.iter().map(|done| done.overlay.touched(&done.footprints, &done.presence)).collect();
    let parts = crew.workers();
    let pairs = (0..workers.len()).flat_map(|one| (compared.max(one + 1)..workers.len()).map(move |two| (one, two)));
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
    if places.is_empty() {
        return vec![false; footprints.len()];
    }
    const NOBODY: u32 = u32::MAX;
    let mut first = vec![NOBODY; footprints.places()];
    let mut is_clash = vec![false; footprints.places()];
    places.iter().filter_map(|place| footprints.number(*place)).for_each(|number| is_clash[number] = true);
    let sets = Sets::new(footprints.len());
    let mut clashed = Vec::new();
    for transaction in 0..footprints.len() as u32 {
        for footprint in footprints.of(transaction as usize) {
            let number = footprints.number(footprint.place).expect("it was touched");
            if is_clash[number] {
                clashed.push(transaction);
            }
            if footprints.touch(footprint.place).is_ordered() {
                match first[number] {
                    NOBODY => first[number] = transaction,
                    first => sets.join(first, transaction),
                }
            }
        }
    }
    let mut goes = vec![false; footprints.len()];
    clashed.iter().for_each(|transaction| goes[sets.root(*transaction) as usize] = true);
    (0..footprints.len() as u32).map(|transaction| goes[sets.root(transaction) as usize]).collect()
}

/// The numbers of all marked transactions, ascending.
pub(super) fn marked(workers: &[Done<'_>], marks: &[Vec<bool>]) -> Vec<u32> {
    let all = workers.iter().zip(marks).flat_map(|(done, marks)| done.transactions.iter().zip(marks));
    let mut marked: Vec<u32> = all.filter(|(_, mark)| **mark).map(|(number, _)| *number).collect();
    marked.sort_unstable();
    marked
}

/// Units by what the transactions really touched. `chosen` lists them ascending.
pub(super) fn units(workers: &[Done<'_>], marks: &[Vec<bool>], chosen: &[u32]) -> Units {
    // By place all that was done there, and who came first; and who was where.
    let mut places: HashMap<(Address, Option<U256>), u32> = HashMap::default();
    let mut met: Vec<(Touch, u32)> = Vec::new();
    let mut visits: Vec<(u32, u32)> = Vec::new();
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
                let place = *places.entry(place).or_insert_with(|| {
                    met.push((Touch::default(), position));
                    met.len() as u32 - 1
                });
                let touch = &mut met[place as usize].0;
                *touch = touch.and(footprint.touch);
                visits.push((place, position));
            }
        }
    }
    let sets = Sets::new(chosen.len());
    for (place, position) in visits {
        let (touch, first) = met[place as usize];
        if touch.is_ordered() {
            sets.join(first, position);
        }
    }
    Units::new(&sets)
}

/// Lets a block's clashes teach: of the transactions that have to run again, and of their neighbours in the block, it is
/// known who is in whose way.
pub(super) fn teach(hints: &mut Hints, transactions: &[Recovered], again: &[u32], units: &Units) {
    let mut sample: Vec<u32> = again.iter().flat_map(|number| [number.saturating_sub(1), *number]).collect();
    sample.sort_unstable();
    sample.dedup();
    let unit = |index: usize| again.binary_search(&sample[index]).ok().map(|position| units.of[position]);
    hints.learn_from(sample.iter().map(|number| &transactions[*number as usize]), |one, two| {
        match (unit(one), unit(two)) {
            // Of those that stayed it is known only that no two workers had a clash.
            (None, None) => None,
            (one, two) => Some(one == two),
        }
    });
}
