//! What more workers would make of a block, by replaying it.
//!
//! Measured on one worker, by CPU time: what each transaction costs (the least of several runs), what must wait for what
//! ([`conflicts`]), by how much keeping footprints makes a transaction dearer, guessing and joining, which all workers
//! share, and the rest of the parallel executor's time. A block on n workers then takes
//!
//! ```text
//! T(n) = alone + (guessing + joining) / n + dearer · schedule(n)
//! ```
//!
//! where `schedule(n)` is the time of n workers of which an idle one always takes the first transaction that need not
//! wait. The speed-up is the sequential executor's time over T(n). The model leaves out what grows with workers (memory
//! bandwidth, comparisons, wrong guesses, putting receipts in line): it is a bound by the block, not a forecast of a
//! machine.

use std::{fmt::Write, time::Duration};

use execlayer_exec::{
    BlockBuilder, Mode, Parallel,
    parallel::{Report, conflicts},
};

use rustix::time::ClockId;

use crate::{Case, clock, cpu, learned, parallel, sequential};

const WORKERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

const ROUNDS: usize = 40;

/// What four workers and more have to reach on a long block that is not one chain.
const TARGET: f64 = 2.0;

/// Speed-ups of a block.
pub(crate) struct Curve {
    name: &'static str,
    speedups: [f64; WORKERS.len()],
    /// Whether it has what [`TARGET`] speaks of.
    is_promised: bool,
}

/// What all threads have worked so far: with one worker that is one of them at a time.
fn worked() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

/// Nanoseconds of each transaction, and the block's in sequence.
fn costs(case: &Case) -> (Vec<u64>, f64) {
    let mut costs = vec![u64::MAX; case.transactions.len()];
    let mut whole = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut builder = BlockBuilder::new(&case.rules, &case.env, &case.view, Mode::default()).expect("a block");
        let mut before = clock();
        for (transaction, cost) in case.transactions.iter().zip(&mut costs) {
            builder.push(transaction).expect("a valid transaction");
            let now = clock();
            *cost = (*cost).min((now - before).as_nanos() as u64);
            before = now;
        }
        let begin = worked();
        drop(sequential(case));
        whole = whole.min(worked() - begin);
    }
    (costs, whole.as_nanos() as f64)
}

/// Replays a block.
pub(crate) fn curve(case: &Case) -> Curve {
    let (costs, whole) = costs(case);
    let (_, conflicts) = conflicts(&case.rules, &case.env, &case.transactions, &[], &case.view).expect("a valid block");
    let executor = learned(case, Parallel::On, 1, worked);
    let runs: Vec<Report> = (0..ROUNDS).map(|_| parallel(case, &executor).1).collect();
    let shared = |report: &Report| report.time_guessing + report.time_joining;
    let least = |of: &dyn Fn(&Report) -> Duration| runs.iter().map(of).min().expect("some runs").as_nanos() as f64;
    let together = least(&shared);
    let alone = least(&|report| report.time - report.time_working - shared(report));
    let dearer = least(&|report| report.time_working) / costs.iter().sum::<u64>() as f64;
    let time = |workers| alone + together / workers as f64 + dearer * conflicts.time_at(workers, &costs) as f64;
    Curve {
        name: case.name,
        speedups: WORKERS.map(|workers| whole / time(workers)),
        is_promised: case.transactions.len() == 10_000 && conflicts.speedup(4) > TARGET,
    }
}

/// The table, to stderr.
pub(crate) fn table(curves: &[Curve]) {
    eprintln!("\nspeed-up over the sequential executor by the model, workers:");
    let heads = WORKERS.map(|workers| format!("{workers:>7}")).concat();
    eprintln!("{:<48}{heads}", "");
    for curve in curves {
        let cells = curve.speedups.map(|speedup| format!("{speedup:>7.2}")).concat();
        eprintln!("{:<48}{cells}", curve.name);
    }
}

/// The row of a block of which something was promised: the least that four workers and more reach.
pub(crate) fn promise(curve: &Curve) {
    let many = WORKERS.iter().zip(curve.speedups).filter(|(workers, _)| **workers >= 4);
    let least = many.map(|(_, speedup)| speedup).fold(f64::INFINITY, f64::min);
    if curve.is_promised {
        let name = curve.name;
        println!(
            r#"{{"name": "{name}, 4 threads and more by the model", "kind": "at_least", "ours": {least:.4}, "unit": "x", "target": {TARGET:.1}}}"#
        );
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const COLOURS: [&str; 9] =
    ["#56b4e9", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#d55e00", "#555555", "#999933", "#882255"];

/// The curves as SVG, both axes in powers of two.
pub(crate) fn plot(curves: &[Curve]) -> String {
    let place = |index: usize, speedup: f64| {
        let x = 50.0 + index as f64 / (WORKERS.len() - 1) as f64 * (WIDTH - 70.0);
        let y = HEIGHT - 40.0 - (speedup.max(0.5).log2() + 1.0) / 7.0 * (HEIGHT - 60.0);
        (x, y)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        HEIGHT + 20.0 * curves.len() as f64,
    );
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(svg, "{text}").expect("strings grow");
    for (index, workers) in WORKERS.iter().enumerate() {
        let (x, y) = place(index, 0.5);
        line(format_args!("<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{workers}</text>", y + 16.0));
    }
    let (x, y) = place(WORKERS.len() / 2, 0.5);
    line(format_args!("<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">workers</text>", y + 32.0));
    for power in -1..=6 {
        let speedup = f64::from(power).exp2();
        let ((left, y), (right, _)) = (place(0, speedup), place(WORKERS.len() - 1, speedup));
        line(format_args!("<path d=\"M{left:.0} {y:.1}H{right:.0}\" stroke=\"#ddd\"/>"));
        line(format_args!("<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{speedup}x</text>", left - 8.0, y + 4.0));
    }
    for (number, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points = curve.speedups.iter().enumerate().map(|(index, speedup)| {
            let (x, y) = place(index, *speedup);
            format!("{x:.1},{y:.1} ")
        });
        let points: String = points.collect();
        line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.trim()
        ));
        let y = HEIGHT + 20.0 * number as f64;
        line(format_args!("<path d=\"M50 {:.0}h24\" stroke=\"{colour}\" stroke-width=\"2\"/>", y - 4.0));
        line(format_args!("<text x=\"82\" y=\"{y:.0}\">{}</text>", curve.name));
    }
    svg.push_str("</svg>\n");
    svg
}
