//! What each fault does to the run, and how it is mended.

use std::time::{Duration, Instant};

use super::faults::{Fault, Stage, Victim};
use super::guests::Mood;
use super::world::{PATIENCE, World};
use crate::support::disk::Disk;
use crate::support::redis_server::{GROUP, pending};

/// How long a certain stage of the host's work is waited for before it is killed anyway.
const STAGE_WAIT: Duration = Duration::from_secs(3);

impl World {
    /// Lets something go wrong, and mends it, but for a host that was killed: that one is on its way again.
    pub fn strike(&mut self, fault: &Fault) {
        match *fault {
            Fault::Kill(victim, stage, pause) => self.kill(victim, stage, pause),
            Fault::Terminate(victim) => {
                self.tally.terminations += 1;
                let place = self.hosts.place_of(victim);
                self.hosts.terminate(place);
                self.hosts.begin(place);
            }
            Fault::PauseHost(victim, time) => {
                self.tally.pauses += 1;
                let place = self.hosts.place_of(victim);
                self.hosts.signal(place, libc::SIGSTOP);
                std::thread::sleep(time);
                self.hosts.signal(place, libc::SIGCONT);
            }
            Fault::Mood(mood, time) => {
                self.tally.refusals += 1;
                self.guests.set_mood(mood);
                std::thread::sleep(time);
                self.guests.set_mood(Mood::Takes);
            }
            Fault::FilterMood(mood, time) => {
                self.tally.refusals += 1;
                self.guests.set_filter_mood(mood);
                std::thread::sleep(time);
                self.guests.set_filter_mood(Mood::Takes);
            }
            Fault::Swap => {
                self.tally.swaps += 1;
                self.guests.swap();
            }
            Fault::SwapFilter => {
                self.tally.swaps += 1;
                self.guests.swap_filter();
            }
            Fault::SwapForNonsense(time) => {
                // A plugin that cannot be loaded stops a start, as it should.
                self.hosts.wait_until_running(PATIENCE);
                self.tally.swaps += 1;
                self.guests.swap_for_nonsense(time);
            }
            Fault::FillDisk(time) => self.sicken(time, Disk::fill),
            Fault::SealDisk(time) => self.sicken(time, Disk::seal),
            Fault::SlowDisk(each, times) => {
                if let Some(slowness) = self.disk.slow(each, times) {
                    self.tally.disk_faults += 1;
                    slowness.wait();
                }
            }
            ref fault => self.strike_redis(fault),
        }
    }

    fn strike_redis(&mut self, fault: &Fault) {
        let (server, tally) = (&mut self.server, &mut self.tally);
        match *fault {
            Fault::RestartRedis(down) => {
                tally.restarts += 1;
                server.restart(down);
            }
            Fault::CutPower(lost) => {
                tally.restarts += 1;
                server.cut_power(lost);
            }
            Fault::FailOver(lag) => {
                tally.restarts += 1;
                server.fail_over(lag);
            }
            Fault::PauseRedis(time, by_signal) => {
                tally.pauses += 1;
                server.pause(time, by_signal);
            }
            Fault::ExhaustRedis(time) => {
                tally.refusals += 1;
                server.exhaust(time);
            }
            Fault::ForgetGroup => server.forget_group(),
            Fault::KillClients => {
                tally.cuts += 1;
                server.kill_clients();
            }
            Fault::CutReplies(count) => server.proxy.cut_replies(count),
            Fault::CutCommands(count) => server.proxy.cut_commands(count),
            Fault::Stall(time) => {
                tally.pauses += 1;
                server.proxy.stall(time);
            }
            Fault::Answer(command, error, count) => server.proxy.answer(command, error, count),
            _ => {}
        }
    }

    fn kill(&mut self, victim: Victim, stage: Stage, pause: Duration) {
        // Whom to kill is found out before: the moment is short.
        let place = self.hosts.place_of(victim);
        let has_come = match stage {
            Stage::Anywhere => true,
            Stage::Starting => {
                self.hosts.kill(place, Duration::ZERO);
                self.tally.kills.count(Stage::Anywhere);
                std::thread::sleep(pause / 3);
                true
            }
            Stage::Reading => {
                let mut connection = self.server.connect();
                until(|| pending(&mut connection, GROUP) > 0)
            }
            Stage::Exporting => {
                let before = self.guests.written("ledger");
                until(|| self.guests.written("ledger") > before)
            }
        };
        self.tally.kills.count(if has_come { stage } else { Stage::Anywhere });
        self.hosts.kill(place, pause);
    }

    fn sicken(&mut self, time: Duration, how: fn(&Disk) -> bool) {
        // A directory that cannot be written stops a start, as it should.
        self.hosts.wait_until_running(PATIENCE);
        if how(&self.disk) {
            self.tally.disk_faults += 1;
            std::thread::sleep(time);
            self.disk.heal();
        }
    }
}

/// Waits for a moment that may not come; says if it has.
fn until(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < STAGE_WAIT {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}
