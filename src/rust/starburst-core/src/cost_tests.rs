use super::*;
use proptest::prelude::*;

fn price(usd_per_hour: f64) -> Price {
    let minimum = Duration::from_secs(60);
    Price { usd_per_hour, minimum, as_of: "2026-11".into(), what: "a worker".into() }
}

fn worker(number: u32) -> WorkerId {
    WorkerId::parse(&format!("w{number}")).unwrap()
}

fn span(start: u64, end: Option<u64>) -> Span {
    Span { start: UnixMillis(start), end: end.map(UnixMillis) }
}

/// What a bill of workers alone comes to.
fn usd_of(bill: &Bill, now: u64) -> f64 {
    bill.tally(UnixMillis(now), Requests::default()).total_usd()
}

fn hourly(max: f64) -> Ceiling {
    Ceiling { max_hourly_usd: Some(max), ..Ceiling::default() }
}

prop_compose! {
    fn any_span()(start in 0u64..10_000_000, time in proptest::option::of(0u64..10_000_000)) -> Span {
        span(start, time.map(|time| start + time))
    }
}

proptest! {
    #[test]
    fn cost_never_falls_with_time(a in 0u64..1_000_000_000, more in 0u64..1_000_000_000, usd in 0.0..1_000.0) {
        let cost = |millis| billed(Duration::from_millis(millis), &price(usd));
        prop_assert!(cost(a) <= cost(a + more));
    }

    #[test]
    fn a_bill_is_the_sum_of_its_workers_and_never_falls(spans in proptest::collection::vec(any_span(), 0..20),
        now in 0u64..20_000_000, later in 0u64..1_000_000, usd in 0.0..100.0) {
        let (price, mut bill, mut sum) = (price(usd), Bill::default(), 0.0);
        for (number, span) in (0u32..).zip(&spans) {
            let mut alone = Bill::default();
            alone.note(&worker(number), *span, &price);
            bill.note(&worker(number), *span, &price);
            sum += usd_of(&alone, now);
        }
        let total = usd_of(&bill, now);
        prop_assert!((total - sum).abs() <= 1e-9 * sum.max(1.0));
        prop_assert!(total <= usd_of(&bill, now + later));
        prop_assert!(total >= spans.len() as f64 * billed(Duration::ZERO, &price) * 0.999_999);
    }

    #[test]
    fn a_worker_seen_often_is_charged_once(spans in proptest::collection::vec(any_span(), 1..9), now in 10_000_000u64..20_000_000) {
        let mut bill = Bill::default();
        for span in spans.iter().chain(&spans) {
            bill.note(&worker(1), *span, &price(1.0));
        }
        let start = spans.iter().map(|span| span.start).min().unwrap();
        let end = spans.iter().filter_map(|span| span.end).max().unwrap_or(UnixMillis(now));
        prop_assert_eq!(usd_of(&bill, now), billed(end.since(start), &price(1.0)));
    }

    #[test]
    fn no_sum_is_negative_or_not_a_number(usd_per_hour in any::<f64>(), millis in any::<u64>(), spent in any::<f64>(),
        max in any::<f64>(), count in any::<u32>(), writes in any::<u64>(), reads in any::<u64>()) {
        let price = price(usd_per_hour);
        prop_assert!(billed(Duration::from_millis(millis), &price) >= 0.0);
        let mut bill = Bill::default();
        bill.note(&worker(1), span(millis, None), &price);
        bill.note(&worker(2), span(0, Some(millis)), &price);
        prop_assert!(usd_of(&bill, 0) >= 0.0 && bill.usd_per_hour() >= 0.0);
        let requests = Requests { writes, reads };
        prop_assert!(s3_requests(requests) >= 0.0);
        let ceiling = Ceiling { max_hourly_usd: Some(max), max_total_usd: Some(max), alert_usd: Some(max) };
        if let Err(error) = may_start(&ceiling, &price, count, count) {
            prop_assert!(error.hourly_usd >= 0.0 && !error.to_string().contains("NaN"));
        }
        check(&ceiling, spent);
    }

    #[test]
    fn what_may_start_never_exceeds_the_ceiling(max in 0.0..100.0, usd in 0.0..10.0, running in 0u32..100, to_start in 0u32..100) {
        let may = may_start(&hourly(max), &price(usd), running, to_start).unwrap_or(0);
        prop_assert!(may <= to_start);
        if may > 0 {
            prop_assert!(f64::from(running + may) * usd <= max * (1.0 + 1e-9));
        }
        // Nor does it refuse what fits.
        if f64::from(running + to_start) * usd <= max {
            prop_assert_eq!(may, to_start);
            prop_assert!(may_ask(&hourly(max), &price(usd), running + to_start).is_ok());
        }
    }

    #[test]
    fn verdicts_never_soften_as_more_is_spent(total in 0.0..100.0, alert in 0.0..100.0, spent in 0.0..200.0, more in 0.0..100.0) {
        let ceiling = Ceiling { max_total_usd: Some(total), alert_usd: Some(alert), max_hourly_usd: None };
        prop_assert!(check(&ceiling, spent) <= check(&ceiling, spent + more));
        prop_assert_eq!(ceiling.words(spent, 0.0).is_none(), check(&ceiling, spent) == Verdict::Fine);
    }
}

#[test]
fn a_minute_is_charged_at_once_and_then_each_second() {
    let price = price(3600.0);
    for (seconds, usd) in [(0.0, 60.0), (1.0, 60.0), (60.0, 60.0), (60.1, 61.0), (61.0, 61.0)] {
        assert_eq!(billed(Duration::from_secs_f64(seconds), &price), usd, "{seconds} s");
    }
}

#[test]
fn a_worker_that_runs_is_charged_up_to_now() {
    let mut bill = Bill::default();
    bill.note(&worker(1), span(0, None), &price(2.0));
    bill.note(&worker(2), span(0, Some(1_800_000)), &price(1.0));
    assert_eq!(usd_of(&bill, 3_600_000), 2.5);
    assert_eq!((bill.running(), bill.usd_per_hour()), (1, 2.0));
    bill.note(&worker(1), span(0, Some(3_600_000)), &price(2.0));
    assert_eq!(usd_of(&bill, 7_200_000), 2.5);
    assert_eq!((bill.running(), bill.usd_per_hour()), (0, 0.0));
    assert!(bill.usd_per_hour().is_sign_positive());
    // One that only ever seemed to start later than now, on clocks that disagree, costs the minimum.
    let mut bill = Bill::default();
    bill.note(&worker(1), span(9_000, None), &price(60.0));
    assert_eq!(usd_of(&bill, 0), 1.0);
}

#[test]
fn a_bill_goes_on_where_another_stopped_and_counts_nothing_twice() {
    let hour = 3_600_000;
    let mut first = Bill::default();
    first.note(&worker(1), span(0, None), &price(1.0));
    // One that never said anything: only whoever started it knows.
    first.note(&worker(2), span(0, Some(hour)), &price(1.0));
    let mine = Requests { writes: 10, reads: 20 };
    first.note_requests(&worker(1), Requests { writes: 5, reads: 0 });
    let kept = first.tally(UnixMillis(hour), mine);
    assert_eq!((kept.workers_usd, kept.requests), (2.0, Requests { writes: 15, reads: 20 }));
    let mut next = Bill::default();
    // Half a minute passed before it began to speak.
    next.note(&worker(1), span(30_000, None), &price(1.0));
    next.note_requests(&worker(1), Requests { writes: 6, reads: 0 });
    let own = Requests { writes: 1, reads: 1 };
    for _ in 0..2 {
        next.carry(&kept, own);
        let at_once = next.tally(UnixMillis(hour), own);
        assert!((at_once.workers_usd - 2.0).abs() < 1e-9, "{at_once:?}");
        assert_eq!(at_once.requests, kept.requests);
    }
    let later = next.tally(UnixMillis(2 * hour), Requests { writes: 3, reads: 1 });
    assert!((later.workers_usd - 3.0).abs() < 1e-9, "{later:?}");
    assert_eq!(later.requests, Requests { writes: 17, reads: 20 });
}

#[test]
fn a_refusal_says_the_argument_the_sum_and_what_fits() {
    let each = price(0.19748);
    assert_eq!(
        may_ask(&hourly(5.0), &each, 50).unwrap_err().to_string(),
        "max_hourly_cost = 5: 50 workers cost 9.87 USD an hour; 25 would fit"
    );
    assert_eq!(
        may_start(&hourly(0.1), &each, 0, 1).unwrap_err().to_string(),
        "max_hourly_cost = 0.1: 1 worker costs 0.20 USD an hour; not one would fit, at 0.20 USD each"
    );
    assert_eq!(may_start(&hourly(5.0), &each, 20, 30), Ok(5));
    assert_eq!(may_start(&hourly(5.0), &each, 25, 30), Ok(0));
    assert_eq!(may_start(&Ceiling::default(), &each, 25, 30), Ok(30));
    assert_eq!(most_workers(&hourly(9.874), &each), Some(50));
    assert_eq!(most_workers(&hourly(5.0), &price(0.0)), None);
}

#[test]
fn a_run_stops_at_the_ceiling_and_warns_before() {
    let ceiling = Ceiling { max_total_usd: Some(10.0), alert_usd: Some(8.0), max_hourly_usd: None };
    assert_eq!(check(&ceiling, 7.99), Verdict::Fine);
    assert_eq!(ceiling.words(8.0, 0.0).unwrap(), "cost_alert_threshold = 8: 8.00 USD are spent");
    assert_eq!(
        ceiling.words(10.02, 0.0321).unwrap(),
        "max_total_cost = 10: 10.02 USD are spent, 0.0321 of it for requests to S3, so the workers stop; results so far are kept, and a \
         new session with a higher ceiling can do the rest"
    );
    assert_eq!(check(&Ceiling::default(), 1e9), Verdict::Fine);
}

#[test]
fn requests_cost_what_aws_asks() {
    assert!((s3_requests(Requests { writes: 1_000, reads: 0 }) - 0.005).abs() < 1e-12);
    assert!((s3_requests(Requests { writes: 0, reads: 1_000_000 }) - 0.4).abs() < 1e-12);
}

#[test]
fn small_sums_keep_digits_that_tell_something() {
    let shown: Vec<String> = [0.0, 0.00002, 0.0123, 0.16, 9.874, f64::NAN].map(usd).into();
    assert_eq!(shown, ["0.00", "less than 0.0001", "0.0123", "0.16", "9.87", "0.00"]);
}
