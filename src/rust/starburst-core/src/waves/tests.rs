use super::*;
use proptest::prelude::*;

fn limits(vcpu: Option<f64>, used_by_others: f64, most_workers: Option<u32>) -> Limits {
    Limits { vcpu, used_by_others, most_workers }
}

fn fleet(vcpu_each: f64, running: u32, starting: u32) -> Fleet {
    Fleet { vcpu_each, running, starting }
}

fn demand(requested: u32, open_tasks: u64) -> Demand {
    Demand { requested, open_tasks }
}

fn quarters(most: u32) -> impl Strategy<Value = f64> {
    (0..=most).prop_map(|quarters| f64::from(quarters) / 4.0)
}

prop_compose! {
    fn any_limits()(vcpu in proptest::option::of(quarters(2_000)), used in quarters(1_000),
        most in proptest::option::of(0u32..300)) -> Limits {
        limits(vcpu, used, most)
    }
}

prop_compose! {
    fn any_fleet()(each in proptest::sample::select(vec![0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
        running in 0u32..200, starting in 0u32..50) -> Fleet {
        fleet(each, running, starting)
    }
}

prop_compose! {
    fn any_demand()(requested in 0u32..500, open_tasks in 0u64..1_000) -> Demand {
        demand(requested, open_tasks)
    }
}

proptest! {
    #[test]
    fn a_plan_is_never_over_any_limit(limits in any_limits(), fleet in any_fleet(), demand in any_demand()) {
        if let Ok(wave) = plan_waves(&limits, &fleet, &demand) && wave.start > 0 {
            let after = fleet.running + fleet.starting + wave.start;
            let vcpu = f64::from(after) * fleet.vcpu_each;
            prop_assert!(limits.vcpu.is_none_or(|limit| vcpu + limits.used_by_others <= limit));
            prop_assert!(limits.most_workers.is_none_or(|most| after <= most));
            prop_assert!(after <= demand.requested && u64::from(after) <= demand.open_tasks);
            prop_assert!(after <= wave.at_a_time);
        }
    }

    #[test]
    fn demand_with_room_never_starves(limits in any_limits(), fleet in any_fleet(), demand in any_demand()) {
        let there = fleet.running + fleet.starting;
        let next = f64::from(there + 1) * fleet.vcpu_each;
        let room = limits.vcpu.is_none_or(|limit| next + limits.used_by_others <= limit)
            && limits.most_workers.is_none_or(|most| there < most);
        if there < demand.requested && u64::from(there) < demand.open_tasks && room {
            prop_assert!(plan_waves(&limits, &fleet, &demand).unwrap().start > 0);
        }
    }

    #[test]
    fn more_quota_never_means_fewer_workers(limits in any_limits(), more in quarters(400), fleet in any_fleet(), demand in any_demand()) {
        let larger = Limits { vcpu: limits.vcpu.map(|limit| limit + more), ..limits };
        match (plan_waves(&limits, &fleet, &demand), plan_waves(&larger, &fleet, &demand)) {
            (Ok(less), Ok(more)) => {
                prop_assert!(less.start <= more.start && less.at_a_time <= more.at_a_time);
                prop_assert!(less.waves == 0 || more.waves <= less.waves);
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
            (Err(_), _) => {}
        }
    }

    #[test]
    fn what_was_planned_is_not_planned_again(limits in any_limits(), fleet in any_fleet(), demand in any_demand()) {
        if let Ok(wave) = plan_waves(&limits, &fleet, &demand) {
            let then = Fleet { starting: fleet.starting + wave.start, ..fleet };
            let again = plan_waves(&limits, &then, &demand).unwrap_or(Wave { start: 0, ..wave });
            prop_assert_eq!(again, Wave { start: 0, ..wave });
        }
    }

    #[test]
    fn waves_cover_what_was_requested(limits in any_limits(), fleet in any_fleet(), demand in any_demand()) {
        if let Ok(wave) = plan_waves(&limits, &fleet, &demand) && wave.at_a_time > 0 {
            prop_assert!(wave.waves * wave.at_a_time >= demand.requested);
            prop_assert!(wave.waves == 0 || (wave.waves - 1) * wave.at_a_time < demand.requested);
        }
    }

    #[test]
    fn the_reason_names_what_binds(limits in any_limits(), fleet in any_fleet(), demand in any_demand()) {
        if let Ok(wave) = plan_waves(&limits, &fleet, &demand) {
            let freed = match wave.held_by {
                HeldBy::Quota => plan_waves(&Limits { vcpu: None, ..limits }, &fleet, &demand),
                HeldBy::Cost => plan_waves(&Limits { most_workers: None, ..limits }, &fleet, &demand),
                HeldBy::Nothing | HeldBy::Requested | HeldBy::Tasks => return Ok(()),
            };
            // Both may hold alike: then without the one the other is named.
            let freed = freed.unwrap();
            prop_assert!(freed.at_a_time > wave.at_a_time || freed.held_by != wave.held_by);
        }
    }

    #[test]
    fn odd_numbers_start_nothing_wrong(vcpu in any::<f64>(), used in any::<f64>(), each in any::<f64>()) {
        let (limits, fleet) = (limits(Some(vcpu), used, None), fleet(each, 0, 0));
        if let Ok(wave) = plan_waves(&limits, &fleet, &demand(10, 10)) {
            prop_assert!(wave.start <= 10);
        }
        prop_assert!(used_by_others(used, &fleet) >= 0.0);
    }
}

#[test]
fn as_workers_end_the_next_start() {
    let limits = limits(Some(16.0), 0.0, None);
    let first = plan_waves(&limits, &fleet(4.0, 0, 0), &demand(10, 100)).unwrap();
    assert_eq!(first, Wave { start: 4, at_a_time: 4, waves: 3, held_by: HeldBy::Quota });
    assert_eq!(plan_waves(&limits, &fleet(4.0, 3, 0), &demand(10, 60)).unwrap().start, 1);
    let last = plan_waves(&limits, &fleet(4.0, 1, 0), &demand(10, 2)).unwrap();
    assert_eq!((last.start, last.held_by), (1, HeldBy::Tasks));
}

#[test]
fn each_limit_is_named() {
    let held = |limits, tasks| plan_waves(&limits, &fleet(1.0, 0, 0), &demand(10, tasks)).unwrap();
    assert_eq!(held(limits(None, 0.0, None), 99).held_by, HeldBy::Requested);
    assert_eq!(held(limits(Some(10.0), 0.0, Some(10)), 10).held_by, HeldBy::Requested);
    assert_eq!(held(limits(Some(5.0), 0.0, Some(5)), 5).held_by, HeldBy::Tasks);
    assert_eq!(held(limits(Some(5.0), 1.0, Some(5)), 99).held_by, HeldBy::Quota);
    assert_eq!(held(limits(Some(5.0), 0.0, Some(4)), 99).held_by, HeldBy::Cost);
    assert_eq!(held(limits(Some(5.0), 5.0, None), 0).held_by, HeldBy::Quota);
    assert_eq!(held(limits(Some(5.0), 0.0, None), 0).held_by, HeldBy::Nothing);
}

#[test]
fn a_quota_below_a_worker_is_an_error_and_a_used_one_is_not() {
    let error = plan_waves(&limits(Some(2.0), 1.0, None), &fleet(4.0, 0, 0), &demand(1, 1));
    assert_eq!(error, Err(TooSmall { needed: 4.0, limit: 2.0, used: 1.0 }));
    let full = plan_waves(&limits(Some(8.0), 8.0, None), &fleet(4.0, 0, 0), &demand(1, 1)).unwrap();
    assert_eq!(full, Wave { start: 0, at_a_time: 0, waves: 0, held_by: HeldBy::Quota });
    // A quota that was lowered does not make an error of workers that run.
    assert!(plan_waves(&limits(Some(2.0), 0.0, None), &fleet(4.0, 3, 0), &demand(3, 9)).is_ok());
    assert!(plan_waves(&limits(Some(0.0), 0.0, None), &fleet(4.0, 0, 0), &demand(0, 9)).is_ok());
}

#[test]
fn others_use_what_the_own_fleet_does_not() {
    assert_eq!(used_by_others(30.0, &fleet(4.0, 2, 1)), 18.0);
    assert_eq!(used_by_others(4.0, &fleet(4.0, 2, 1)), 0.0);
}

fn fargate(pending: Option<Increase>) -> Quota {
    Quota { name: "Fargate".into(), launch_type: "FARGATE".into(), spot: false, pending }
}

const SIZE: WorkerSize = WorkerSize { cpu: 4.0, memory_mib: 8 * 1024, on_fargate: true };

fn pending() -> Option<Increase> {
    Some(Increase { vcpu: 500, since: "2026-11-20".into(), case: Some("123".into()) })
}

fn said(quota: &Quota, size: WorkerSize, limits: Limits, requested: u32) -> String {
    let (fleet, demand) = (fleet(size.cpu, 0, 0), demand(requested, 0));
    match plan_waves(&limits, &fleet, &demand) {
        Ok(wave) => announce(quota, &size, &limits, &fleet, &demand, &wave),
        Err(error) => refuse(&error, quota, &size, requested),
    }
}

#[test]
fn with_enough_quota_nothing_is_said_of_it() {
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(500.0), 20.0, None), 100),
        "Requested 100 workers (400 vCPU)."
    );
    assert_eq!(
        said(&fargate(pending()), SIZE, limits(Some(4.0), 0.0, None), 1),
        "Requested 1 worker (4 vCPU)."
    );
}

#[test]
fn a_limited_quota_is_said_with_what_helps() {
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(100.0), 20.0, None), 100),
        "Requested 100 workers (400 vCPU). Fargate quota 100 vCPU, 20 in use: 20 workers at a time \
         (5 waves). With cpu = 1: 80 at a time. Request 500 vCPU? \
         starburst_request_quota_increase(vcpus = 500, launch_type = \"FARGATE\")"
    );
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(10.0), 0.0, None), 5),
        "Requested 5 workers (20 vCPU). Fargate quota 10 vCPU, 0 in use: 2 workers at a time (3 waves). \
         With cpu = 2: all 5 at a time. Request 20 vCPU? \
         starburst_request_quota_increase(vcpus = 20, launch_type = \"FARGATE\")"
    );
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(10.0), 9.0, None), 5),
        "Requested 5 workers (20 vCPU). Fargate quota 10 vCPU, 9 in use: no worker can start now; they \
         start as it becomes free. With cpu = 1: 1 at a time. Request 30 vCPU? \
         starburst_request_quota_increase(vcpus = 30, launch_type = \"FARGATE\")"
    );
}

#[test]
fn a_pending_increase_is_said_in_place_of_the_offer() {
    let text = said(&fargate(pending()), SIZE, limits(Some(100.0), 20.0, None), 100);
    assert!(text.ends_with(
        "With cpu = 1: 80 at a time. An increase to 500 vCPU is pending since 2026-11-20 (case 123)."
    ));
    let no_case = Increase { vcpu: 40, since: "2026-11-20".into(), case: None };
    let text = said(&fargate(Some(no_case)), SIZE, limits(Some(0.0), 0.0, None), 10);
    assert!(text.ends_with("An increase to 40 vCPU is pending since 2026-11-20."), "{text}");
}

#[test]
fn an_unknown_quota_is_said_to_be_unknown() {
    assert_eq!(
        said(&fargate(None), SIZE, limits(None, 20.0, None), 100),
        "Requested 100 workers (400 vCPU). The Fargate quota could not be read: workers start as far as \
         AWS allows."
    );
}

#[test]
fn a_quota_of_zero_is_refused_with_the_command() {
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(0.0), 0.0, None), 100),
        "the Fargate quota is 0 vCPU, 0 in use by others, and one worker needs 4 vCPU: none can start. \
         Request 400 vCPU? starburst_request_quota_increase(vcpus = 400, launch_type = \"FARGATE\")"
    );
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(2.5), 0.5, None), 1),
        "the Fargate quota is 2.5 vCPU, 0.5 in use by others, and one worker needs 4 vCPU: none can \
         start. With cpu = 2: 1 at a time. Request 10 vCPU? \
         starburst_request_quota_increase(vcpus = 10, launch_type = \"FARGATE\")"
    );
}

#[test]
fn the_command_for_a_quota_of_spot_says_so() {
    let spot =
        Quota { name: "EC2 Spot".into(), launch_type: "EC2".into(), spot: true, pending: None };
    let text = said(&spot, SIZE, limits(Some(0.0), 0.0, None), 10);
    assert!(
        text.ends_with(
            "starburst_request_quota_increase(vcpus = 40, launch_type = \"EC2\", use_spot = TRUE)"
        ),
        "{text}"
    );
}

#[test]
fn a_ceiling_on_cost_is_said() {
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(500.0), 0.0, Some(25)), 100),
        "Requested 100 workers (400 vCPU). The ceiling on cost allows 25 workers at a time (4 waves)."
    );
    assert_eq!(
        said(&fargate(None), SIZE, limits(Some(500.0), 0.0, Some(0)), 100),
        "Requested 100 workers (400 vCPU). The ceiling on cost allows no worker."
    );
    let both = said(&fargate(pending()), SIZE, limits(Some(100.0), 0.0, Some(10)), 50);
    assert!(
        both.contains("25 workers at a time (2 waves)") && both.contains("10 workers at a time (5")
    );
}

proptest! {
    #[test]
    fn a_suggested_cpu_is_a_size_that_gives_more_workers(limit in quarters(800), used in quarters(200), requested in 1u32..200,
        size in 0usize..7, steps in 0u32..30) {
        let from = FARGATE_SIZES[size];
        let memory_mib = (from.least_mib + steps * from.step_mib).min(from.most_mib);
        let size = WorkerSize { cpu: from.cpu, memory_mib, on_fargate: true };
        let text = said(&fargate(None), size, limits(Some(limit), used, None), requested);
        if let Some((_, rest)) = text.split_once("With cpu = ") {
            let cpu: f64 = rest.split(':').next().unwrap().parse().unwrap();
            prop_assert!(cpu < from.cpu && is_fargate_size(cpu, memory_mib));
            let plan = |cpu| plan_waves(&limits(Some(limit), used, None), &fleet(cpu, 0, 0), &demand(requested, 0));
            let now = plan(from.cpu).map_or(0, |wave| wave.at_a_time);
            prop_assert!(plan(cpu).unwrap().at_a_time > now);
        }
        let on_ec2 = WorkerSize { on_fargate: false, ..size };
        let text = said(&fargate(None), on_ec2, limits(Some(limit), used, None), requested);
        prop_assert!(!text.contains("With cpu"));
    }
}
