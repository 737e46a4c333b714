//! How rough a run is.
use crate::SeededIds;
use starburst_core::pace::Pace;

/// Why no worker starts any more once the storm is over, until somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hopeless {
    /// Launches are refused: no room, a quota that is used up.
    Refused,
    /// Launches are accepted, and no worker ever comes.
    Silent,
}

/// What may happen in a run, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Clients that submit: one made the session, the others attach to it.
    pub clients: u32,
    /// Workers that the session asks for.
    pub workers: u32,
    /// Tasks that each client submits.
    pub tasks: u32,
    /// One store call in so many is refused; 0 for none.
    pub refuse: u64,
    /// One write in so many gets no answer, done or not; 0 for none.
    pub lose_answer: u64,
    /// One such write in so many is done, but only later; 0 for none.
    pub late: u64,
    /// A worker crashes about every so many seconds; 0 for never.
    pub crash_s: u64,
    /// A process stands still, and comes back, about every so many seconds; 0 for never.
    pub pause_s: u64,
    /// A process loses the network for a while about every so many seconds; 0 for never.
    pub cut_s: u64,
    /// One task in so many kills its R; 0 for none.
    pub r_dies: u64,
    /// One launch in so many starts the worker twice; 0 for none.
    pub twice: u64,
    /// One client in so many is killed at some moment, at times in the middle of a call; 0 for none.
    pub client_dies: u64,
    /// One task in so many is cancelled; 0 for none.
    pub cancel: u64,
    /// Whether idle workers join tasks that take long.
    pub backups: bool,
    /// The code of one task in so many fails; 0 for none.
    pub fails: u64,
    /// One task in so many needs, and one result in so many is, more than fits a segment or a ledger; 0 for none.
    pub large: u64,
    /// One task in so many signals near-live conditions; 0 for none.
    pub signals: u64,
    /// One task in so many may run for a few seconds only; 0 for none.
    pub limit: u64,
    /// Nobody reaches the store, for up to a quarter of an hour, about every so many seconds; 0 for never.
    pub outage_s: u64,
    /// Whether listings may miss what is written while they are made.
    pub partial: bool,
    /// Whether the launcher reaches the workers: it knows for sure which are gone, and can stop them.
    pub sure: bool,
    /// Whether the session belongs to the client that made it.
    pub owned: bool,
    /// Whether looks are as frequent as in a directory.
    pub local: bool,
    /// Whether somebody deletes the session in the middle of the storm.
    pub deleted: bool,
    /// An object of the session is damaged about every so many seconds; 0 for never.
    pub damage_s: u64,
    /// Launches are refused, for a while, about every so many seconds; 0 for never.
    pub no_room_s: u64,
    /// Launches are accepted and no worker comes, for a while, about every so many seconds; 0 for never.
    pub silent_s: u64,
    /// Whether workers cannot be started at the end of the storm, for as long as nobody is told.
    pub hopeless: Option<Hopeless>,
    /// Whether the client that owns the session dies in the storm.
    pub owner_dies: bool,
}

impl Weather {
    /// Nothing fails.
    pub const FAIR: Weather = Weather {
        clients: 1,
        workers: 4,
        tasks: 40,
        refuse: 0,
        lose_answer: 0,
        late: 0,
        crash_s: 0,
        pause_s: 0,
        cut_s: 0,
        r_dies: 0,
        twice: 0,
        client_dies: 0,
        cancel: 0,
        backups: false,
        fails: 0,
        large: 0,
        signals: 0,
        limit: 0,
        outage_s: 0,
        partial: false,
        sure: false,
        owned: false,
        local: false,
        deleted: false,
        damage_s: 0,
        no_room_s: 0,
        silent_s: 0,
        hopeless: None,
        owner_dies: false,
    };

    /// The weather that a seed brings: each kind of trouble is absent, rare or frequent, independent of the others.
    pub fn of(seed: u64) -> Self {
        let dice = SeededIds::new(seed ^ 0x3ea7_4e12);
        let pick = |values: [u64; 3]| values[dice.below(3) as usize];
        let hopeless = [Hopeless::Refused, Hopeless::Silent];
        Self {
            clients: 1 + dice.below(3) as u32,
            workers: 1 + dice.below(4) as u32,
            tasks: 4 + dice.below(12) as u32,
            refuse: pick([0, 50, 12]),
            lose_answer: pick([0, 25, 6]),
            late: pick([0, 4, 2]),
            crash_s: pick([0, 120, 30]),
            pause_s: pick([0, 90, 30]),
            cut_s: pick([0, 120, 40]),
            r_dies: pick([0, 60, 15]),
            twice: pick([0, 8, 3]),
            client_dies: pick([0, 4, 2]),
            cancel: pick([0, 0, 6]),
            backups: dice.one_in(2),
            fails: pick([0, 15, 4]),
            large: pick([0, 0, 6]),
            signals: pick([0, 0, 4]),
            limit: pick([0, 0, 6]),
            outage_s: pick([0, 0, 300]),
            partial: dice.one_in(2),
            sure: dice.one_in(3),
            owned: dice.one_in(4),
            local: dice.one_in(32),
            deleted: dice.one_in(8),
            no_room_s: pick([0, 0, 120]),
            silent_s: pick([0, 0, 120]),
            hopeless: dice.one_in(6).then(|| hopeless[dice.below(2) as usize]),
            owner_dies: dice.one_in(2),
            damage_s: pick([0, 0, 20]),
        }
    }

    /// How often everybody looks.
    pub(super) fn pace(&self) -> Pace {
        if self.local { Pace::local() } else { Pace::remote() }
    }

    /// Whether every task ends with what its code left.
    pub(super) fn spares_tasks(&self) -> bool {
        let lost = self.r_dies + self.crash_s + self.cut_s + self.pause_s + self.outage_s;
        let spared =
            !self.deleted && self.hopeless.is_none() && self.damage_s == 0 && !self.owner_is_lost();
        lost + self.cancel + self.client_dies == 0 && spared
    }

    /// Whether the session belongs to a client that dies.
    pub(super) fn owner_is_lost(&self) -> bool {
        self.owned && self.owner_dies
    }
}
