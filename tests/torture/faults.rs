//! What may go wrong, and when: drawn from the seed.

use std::time::Duration;

use super::chance::Chance;
use super::guests::Mood;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// SIGKILL of a host at that stage of the work; the next one begins after a pause.
    Kill(Victim, Stage, Duration),
    /// SIGTERM of a host under load.
    Terminate(Victim),
    /// SIGSTOP of a host for so long.
    PauseHost(Victim, Duration),
    /// Redis is killed, and away for so long.
    RestartRedis(Duration),
    /// Redis forgets what it accepted in so long a time.
    CutPower(Duration),
    /// Redis is killed, and its replica goes on, which nothing has reached for so long.
    FailOver(Duration),
    /// Redis stands still; by a signal, or by itself.
    PauseRedis(Duration, bool),
    /// Redis has no memory for anything new.
    ExhaustRedis(Duration),
    /// Redis loses our group: everything in the stream comes again.
    ForgetGroup,
    /// All connections to Redis end.
    KillClients,
    /// Connections end in the middle of so many replies.
    CutReplies(usize),
    /// Likewise of commands.
    CutCommands(usize),
    /// Nothing passes between host and Redis for so long.
    Stall(Duration),
    /// Redis seems to answer so many commands of a name with an error.
    Answer(&'static str, &'static str, usize),
    /// An exporter is in some mood for so long.
    Mood(Mood, Duration),
    /// The filter is in some mood for so long: it fails, or takes its time. Everything waits for it.
    FilterMood(Mood, Duration),
    /// Exporters are replaced.
    Swap,
    /// The filter is.
    SwapFilter,
    /// Exporters are replaced by what is none, for so long.
    SwapForNonsense(Duration),
    /// The json exporter's disk is full for so long.
    FillDisk(Duration),
    /// Likewise read-only.
    SealDisk(Duration),
    /// Likewise slow: whatever is written stands still for so long, so many times.
    SlowDisk(Duration, u32),
}

/// Which host is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The one that leads.
    Leader,
    /// One that stands by, if there is one.
    Standby,
}

/// When to kill a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// So long after the last fault: anywhere.
    Anywhere,
    /// A moment after its predecessor was killed.
    Starting,
    /// While entries are pending: they are correlated, or exported.
    Reading,
    /// When an exporter has just written a batch down, which nobody has acknowledged yet.
    Exporting,
}

const STAGES: [(u64, Stage); 4] = [(3, Stage::Anywhere), (1, Stage::Starting), (2, Stage::Reading), (4, Stage::Exporting)];

/// Of every so many faults one is a kill of the host.
const KILL_EVERY: u64 = 4;

const COMMANDS: [&str; 9] = ["XREADGROUP", "EXEC", "EVALSHA", "XPENDING", "XCLAIM", "XRANGE", "XINFO", "TIME", "XGROUP"];

/// What Redis says when it cannot, will not or must not.
const ERRORS: [&str; 9] = [
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOGROUP No such key 'mesh:trace' or consumer group",
    "NOPERM this user has no permissions to run the command",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOAUTH Authentication required.",
    "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.",
    "BUSY Redis is busy running a script.",
];

/// In so many of a hundred cases the host that leads is hit.
const LEADER_PERCENT: u64 = 70;

/// Faults, one after the other.
pub struct Faults {
    chance: Chance,
    drawn: u64,
    /// How often the group is still to be lost: each time the whole stream comes again.
    groups_to_lose: u32,
    /// Whether there is time for pauses and refusals of half a minute.
    is_long: bool,
    hosts: usize,
    /// Whether Redis may forget what it has accepted. With publishers that trim it may not: nobody can tell then what was trimmed and what was forgotten.
    may_forget: bool,
}

impl Faults {
    pub fn new(chance: Chance, groups_to_lose: u32, is_long: bool, hosts: usize, may_forget: bool) -> Faults {
        Faults {
            chance,
            drawn: 0,
            groups_to_lose,
            is_long,
            hosts,
            may_forget,
        }
    }

    /// How long nothing goes wrong until the next one.
    pub fn pause(&mut self) -> Duration {
        self.chance.millis(100..1_500)
    }

    pub fn draw(&mut self) -> Fault {
        self.drawn += 1;
        if self.drawn.is_multiple_of(KILL_EVERY) {
            return Fault::Kill(self.victim(), *self.chance.weighted(&STAGES), self.chance.millis(0..700));
        }
        let victim = self.victim();
        let chance = &mut self.chance;
        if self.is_long && chance.percent(2) {
            let time = chance.millis(30_000..40_000);
            return if chance.percent(50) { Fault::PauseHost(victim, time) } else { Fault::Mood(Mood::Refuses, time) };
        }
        match chance.within(0..100) {
            0..4 => Fault::Terminate(victim),
            4..10 => Fault::PauseHost(victim, if chance.percent(30) { chance.millis(4_500..6_000) } else { chance.millis(200..2_500) }),
            10..14 => Fault::RestartRedis(chance.millis(0..1_500)),
            14..19 if self.may_forget => Fault::CutPower(chance.millis(100..1_200)),
            19..21 if self.may_forget => Fault::FailOver(if chance.percent(20) { Duration::ZERO } else { chance.millis(300..1_500) }),
            14..21 => Fault::RestartRedis(chance.millis(0..1_500)),
            21..28 => Fault::PauseRedis(chance.millis(200..3_000), chance.percent(50)),
            28..31 => Fault::ExhaustRedis(chance.millis(200..3_000)),
            31..33 if self.groups_to_lose > 0 => {
                self.groups_to_lose -= 1;
                Fault::ForgetGroup
            }
            31..39 => Fault::KillClients,
            39..47 => Fault::CutReplies(chance.within(1..4) as usize),
            47..54 => Fault::CutCommands(chance.within(1..4) as usize),
            54..58 => Fault::Stall(chance.millis(200..4_000)),
            58..74 => Fault::Answer(chance.one_of::<&str>(&COMMANDS), chance.one_of::<&str>(&ERRORS), chance.within(1..6) as usize),
            74..80 => {
                Fault::FilterMood(*chance.one_of(&[Mood::Refuses, Mood::Stalls, Mood::Hangs, Mood::Traps]), chance.millis(200..3_000))
            }
            80..89 => Fault::Mood(
                *chance.one_of(&[Mood::Refuses, Mood::Halves, Mood::Stalls, Mood::Hangs, Mood::Traps]),
                chance.millis(200..4_000),
            ),
            89..91 => Fault::Swap,
            91..92 => Fault::SwapFilter,
            92..94 => Fault::SwapForNonsense(chance.millis(200..2_000)),
            94..96 => Fault::FillDisk(chance.millis(500..3_000)),
            96..98 => Fault::SealDisk(chance.millis(500..3_000)),
            // Now and then for longer than a call may take.
            _ if chance.percent(25) => Fault::SlowDisk(chance.millis(5_500..7_000), 1),
            _ => Fault::SlowDisk(chance.millis(100..1_000), chance.within(2..8) as u32),
        }
    }

    /// A fault that leaves the plugins and the disk as they are, and keeps the group: for a time in which an exporter is down, and nothing may end that.
    pub fn draw_beside_an_outage(&mut self) -> Fault {
        loop {
            let fault = self.draw();
            let ends_it = matches!(
                fault,
                Fault::Mood(..) | Fault::Swap | Fault::SwapForNonsense(_) | Fault::FilterMood(..) | Fault::SwapFilter | Fault::ForgetGroup
            );
            if !ends_it && !matches!(fault, Fault::FillDisk(_) | Fault::SealDisk(_) | Fault::SlowDisk(..)) {
                return fault;
            }
        }
    }

    fn victim(&mut self) -> Victim {
        if self.hosts > 1 && !self.chance.percent(LEADER_PERCENT) { Victim::Standby } else { Victim::Leader }
    }
}

#[test]
fn the_same_seed_draws_the_same_faults_and_enough_kills() {
    let draw = |seed| {
        let mut faults = Faults::new(Chance::new(seed), 1, true, 2, true);
        (0..400).map(|_| faults.draw()).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let kills = draw(7).into_iter().filter(|fault| matches!(fault, Fault::Kill(..))).count();
    assert_eq!(kills, 100);
}
