//! What all connections and all tasks of a stand-in share.
use super::{
    counts::Counts,
    ecs::{
        Ecs,
        task::{Order, Purchase, Status, Task},
    },
    faults::Rules,
    names::Names,
    pricing::Pricing,
    quotas::Quotas,
    record::Record,
    settings::Settings,
    time::now,
};
use parking_lot::Mutex;
use std::{io, sync::Arc, time::Duration};
use tokio::sync::watch;

/// A running stand-in.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) endpoint: String,
    pub(super) ecs: Mutex<Ecs>,
    pub(super) quotas: Mutex<Quotas>,
    pub(super) pricing: Mutex<Pricing>,
    pub(super) rules: Mutex<Rules>,
    pub(super) counts: Counts,
    pub(super) record: Record,
    pub(super) start_delay: Mutex<Duration>,
    spot_notice: Mutex<Duration>,
    ending: watch::Sender<bool>,
    agents: watch::Sender<usize>,
}

/// One agent at work, until it is dropped.
#[derive(Debug)]
pub(super) struct Alive(Arc<State>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.agents.send_modify(|agents| *agents -= 1);
    }
}

/// Which Spot tasks are interrupted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Interrupted<'a> {
    One(&'a str),
    First(usize),
    All,
    /// All, and those that start within this time.
    AllFor(Duration),
}

impl State {
    pub(super) fn new(settings: Settings, endpoint: String) -> io::Result<Self> {
        let names = Names { account: settings.account.clone(), region: settings.region.clone() };
        Ok(Self {
            ecs: Mutex::new(Ecs::new(&settings, names.clone(), now())),
            quotas: Mutex::new(Quotas::new(names, settings.quotas.clone())),
            pricing: Mutex::new(Pricing { region: settings.region.clone(), factor: 1.0 }),
            rules: Mutex::new(Rules::default()),
            counts: Counts::default(),
            record: Record::open(settings.record.as_deref())?,
            start_delay: Mutex::new(settings.start_delay),
            spot_notice: Mutex::new(settings.spot_notice),
            ending: watch::channel(false).0,
            agents: watch::channel(0).0,
            settings,
            endpoint,
        })
    }

    pub(super) fn alive(self: &Arc<Self>) -> Alive {
        self.agents.send_modify(|agents| *agents += 1);
        Alive(self.clone())
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    pub(super) fn set_spot_notice(&self, notice: Duration) {
        *self.spot_notice.lock() = notice;
    }

    /// Stops every task, after this grace by SIGKILL.
    pub(super) fn end_all(&self, grace: Duration) {
        self.ending.send_replace(true);
        for task in self.ecs.lock().tasks.all() {
            let order = Order { grace: Some(grace), ..Order::user("the stand-in ends") };
            task.order(order);
        }
    }

    /// Returns when no agent is at work.
    pub(super) async fn all_ended(&self) {
        let _ = self.agents.subscribe().wait_for(|agents| *agents == 0).await;
    }

    fn interruption(&self, task: &Task) -> Order {
        let (code, reason) = if task.purchase.is_fargate() {
            ("SpotInterruption", "Your Spot Task was interrupted.")
        } else {
            ("TerminationNotice", "Host EC2 instance terminated.")
        };
        let grace = Some(*self.spot_notice.lock());
        Order { code, reason: reason.to_owned(), grace, container_reason: None }
    }

    /// How many Spot tasks were told to go.
    pub(super) fn interrupt(&self, which: Interrupted<'_>) -> usize {
        let mut ecs = self.ecs.lock();
        let most = match which {
            Interrupted::First(most) => most,
            Interrupted::AllFor(time) => {
                ecs.storm = Some(now() + time);
                usize::MAX
            }
            Interrupted::One(_) | Interrupted::All => usize::MAX,
        };
        let is_meant = |task: &&Task| match which {
            Interrupted::One(id) => task.id == id,
            Interrupted::First(_) | Interrupted::All | Interrupted::AllFor(_) => true,
        };
        let running =
            ecs.tasks.all().filter(|it| it.purchase.is_spot() && it.status == Status::Running);
        let meant = running.filter(is_meant).take(most);
        meant.map(|task| task.order(self.interruption(task))).count()
    }

    /// Interrupts a task that has just started if all are interrupted at present.
    pub(super) fn interrupt_in_storm(&self, id: &str) {
        let ecs = self.ecs.lock();
        let in_storm = ecs.storm.is_some_and(|until| now() < until);
        if let Some(task) = ecs.tasks.get(id).filter(|it| in_storm && it.purchase.is_spot()) {
            task.order(self.interruption(task));
        }
    }

    /// False if there is no such task.
    pub(super) fn out_of_memory(&self, id: &str) -> bool {
        let ecs = self.ecs.lock();
        let task = ecs.tasks.get(id).filter(|task| task.status == Status::Running);
        task.map(|task| task.order(Order::out_of_memory())).is_some()
    }

    /// vCPUs at most in use at one time.
    pub(super) fn most_vcpus(&self, purchase: Purchase) -> f64 {
        f64::from(self.ecs.lock().tasks.most_units(purchase)) / 1_024.0
    }
}
