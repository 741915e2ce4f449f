//! Every scenario of the folder keeps its limits at a smaller size, for several seeds; and what must hold in all of them.

use std::fs;
use std::path::Path;

use throng_rehearsal::chance::Chance;
use throng_sim::{Outcome, Scenario};

/// Small, so that all of them are quick: each stands for tens or hundreds.
const INDIVIDUALS: u32 = 4_000;
/// Where many nodes share a crowd by chance, each still has to have hundreds.
const INDIVIDUALS_OF_MANY: u32 = 20_000;
/// More nodes than this are many.
const MANY: u16 = 8;
/// Where two groups are compared to a few percent.
const INDIVIDUALS_COMPARED: u32 = 60_000;
const SEEDS: u64 = 8;
/// Evenings by chance.
const EVENINGS: u64 = 60;

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let text = fs::read_to_string(path.join(format!("{name}.toml")));
    read(&text.expect("the scenario is there"))
}

fn read(text: &str) -> Scenario {
    let scenario: Scenario = toml::from_str(text).expect("it is a scenario");
    assert_eq!(scenario.nonsense(), None, "{text}");
    scenario
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let individuals = if scenario.limits.carrier_percent_max.is_some() {
        INDIVIDUALS_COMPARED
    } else if scenario.nodes.count > MANY {
        INDIVIDUALS_OF_MANY
    } else {
        INDIVIDUALS
    };
    throng_sim::run(scenario, seed, individuals, &mut |_| ())
}

fn keeps_its_limits(name: &str) {
    let scenario = scenario(name);
    for seed in 1..=SEEDS {
        let outcome = run(&scenario, seed);
        let beyond = outcome.beyond(&scenario.limits);
        assert!(beyond.is_empty(), "{name}, seed {seed}: {beyond:?}");
        let people = outcome.heard_in_time + outcome.heard_late + outcome.never_heard;
        assert_eq!(people, outcome.people, "{name}, seed {seed}");
    }
}

macro_rules! scenarios {
    ($($name:ident $file:literal)*) => {
        $(
            #[test]
            fn $name() {
                keeps_its_limits($file);
            }
        )*

        #[test]
        fn every_scenario_is_tried() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
            let files = fs::read_dir(folder).unwrap();
            let mut files: Vec<_> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let mut tried = vec![$(concat!($file, ".toml")),*];
            tried.sort_unstable();
            assert_eq!(files, tried);
        }
    };
}

scenarios! {
    a_service_without_a_plan_loses_most_of_the_night_of_12_august_2024 "august-naive"
    the_night_of_12_august_2024_is_heard_in_time "august-throng"
    who_shares_an_address_is_refused_no_more_often "carrier"
    eight_million_are_served "eight-million"
    who_stays_hears_nothing_of_those_who_leave_at_once "exit-storm"
    people_are_served_beside_a_million_hoarded_tickets "hoard"
    people_are_served_without_hoarded_tickets "hoard-without"
    a_million_in_the_queue_are_all_served "million-queued"
    a_crowd_that_doubles_while_a_node_dies_is_served "node-dies"
    a_ramp_is_served_up_to_the_end_of_the_processors "ramp"
    an_outage_of_eight_seconds_heals_within_a_minute "retry-storm"
    a_service_without_a_plan_does_not_recover_from_an_outage "retry-storm-naive"
    slow_lines_cost_others_nothing "slow"
    ten_times_as_many_as_places_at_the_minute "vertical"
    twenty_times_as_many_as_places_at_the_minute "vertical-20"
}

#[test]
fn the_same_seed_gives_the_same_evening_and_another_another() {
    let scenario = scenario("node-dies");
    let once = run(&scenario, 5);
    assert_eq!(once, run(&scenario, 5));
    assert_ne!(once.series, run(&scenario, 6).series);
}

#[test]
fn hoarded_tickets_delay_people_by_less_than_a_twentieth() {
    let wait_s = |name| {
        let scenario = scenario(name);
        (1..=SEEDS)
            .map(|seed| run(&scenario, seed).wait_s.mean)
            .sum::<f64>()
    };
    let (alone, among) = (wait_s("hoard-without"), wait_s("hoard"));
    assert!(among <= alone * 1.05, "{among} s instead of {alone} s");
}

#[test]
fn what_an_outage_puts_out_is_the_ruin_of_one_service_and_a_minute_of_the_other() {
    let (naive, throng) = (scenario("retry-storm-naive"), scenario("retry-storm"));
    let last = |list: &[u64]| *list.last().unwrap();
    let ruined = run(&naive, 2).series;
    assert!(last(&ruined.listening) * 2 < last(&ruined.wanting).max(1));
    let healed = run(&throng, 2).series;
    assert_eq!(last(&healed.listening), last(&healed.wanting));
}

#[test]
fn a_house_that_takes_in_more_than_it_can_serve_on_any_rung_is_found_out() {
    let mut scenario = scenario("ramp");
    (scenario.nodes.count, scenario.nodes.cores) = (1, 1);
    scenario.nodes.listeners_max *= 2;
    let beyond = run(&scenario, 1).beyond(&scenario.limits);
    assert!(
        beyond.iter().any(|words| words.starts_with("goodput")),
        "{beyond:?}"
    );
}

#[test]
fn joins_judged_by_the_kernels_backlog_keep_every_invariant_too() {
    for name in ["vertical", "retry-storm", "carrier"] {
        let mut scenario = scenario(name);
        scenario.nodes.judges_backlog = true;
        for seed in 1..=SEEDS {
            let outcome = run(&scenario, seed);
            let broken = (
                outcome.evicted,
                outcome.queue_order_violations,
                outcome.ledger_balanced,
            );
            assert_eq!(broken, (0, 0, true), "{name}, seed {seed}");
        }
    }
}

#[test]
fn whatever_an_evening_brings_nobody_is_evicted_the_order_is_kept_and_the_books_balance() {
    for seed in 0..EVENINGS {
        let evening = evening(&mut Chance::new(seed));
        let outcome = throng_sim::run(&read(&evening), seed, 2_000, &mut |_| ());
        let seen = (
            outcome.evicted,
            outcome.queue_order_violations,
            outcome.ledger_balanced,
        );
        assert_eq!(seen, (0, 0, true), "seed {seed}:\n{evening}");
    }
}

/// Any crowd, any house, anything that breaks.
fn evening(chance: &mut Chance) -> String {
    let mut of = |from: u64, to: u64| from + chance.below(to - from + 1);
    let (nodes, slots, people) = (of(1, 5), of(50, 600), of(500, 4_000));
    let (tls, cache, judged) = (of(0, 1) == 1, of(0, 1) == 1, of(0, 1) == 1);
    let (begin, over, more) = (of(0, 100), of(1, 120), of(0, 60));
    format!(
        "title = 'chance'\nduration_s = 360\nstarts_s = {}\n\
         nodes = {{ count = {nodes}, listeners_max = {slots}, tls = {tls}, cache = {cache}, judges_backlog = {judged} }}\n\
         fault = [{{ kind = 'node-dies', node = 0, at_s = {}, returns_s = {} }}, {{ kind = 'outage', at_s = {}, for_s = {} }}]\n\
         [[crowd]]\npeople = {people}\narrive = [[{begin}, 0], [{}, 5], [{}, 9]]\nstay_s = {}\npatience_s = {}\n\
         plain_percent = {}\ncarrier_percent = 50\nslow_percent = {}\nleave = {{ from_s = {}, over_s = 4 }}\n\
         [[hoard]]\ntickets = {}\nfrom_s = 20\nover_s = {}\n",
        of(0, 120),
        of(50, 150),
        of(160, 300),
        of(50, 300),
        of(1, 20),
        begin + over,
        begin + over + more + 1,
        of(20, 300),
        of(20, 600),
        of(0, 50),
        of(0, 20),
        of(200, 400),
        of(0, 5_000),
        of(1, 200),
    )
}
