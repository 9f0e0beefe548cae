//! How many handshakes a second are taken, and when those that are too many come back.
//!
//! After an outage all clients come at once. Each handshake costs a place, a seat in the hub and a replay, so they are
//! taken at a rate that the server bears; whoever comes above it is told a time of its own, and is then taken, however
//! many newcomers there are: otherwise it would have to try again and again, and the storm would feed itself.
//!
//! One bucket of tokens, which may go below zero: a promise pays with a token that is not there yet, so newcomers get
//! none until all promised ones have become due. Clients are known by their addresses only, so what is kept is how many
//! promises an address has, and from when: behind one address whoever comes first is taken for the one that was promised.
//!
//! It is a pure state machine: time is an argument. It must not know sockets, requests or what an answer looks like.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many addresses may hold promises: more than a server has connections by default, so that when all of them come
/// back at once each is kept its word. That takes some 25 MiB for as long as it lasts.
const ADDRESSES_MAX: usize = 131_072;
/// How many promises are remembered, kept ones that have not lapsed included. Those of one address that become due in
/// the same second count once.
const DUES_MAX: usize = 2 * ADDRESSES_MAX;
/// For how many of them the memory is kept when there are none.
const DUES_KEPT: usize = 1_024;
/// How far ahead a promise reaches. Whoever would have to wait longer is told this time and promised nothing, so that
/// a flood cannot take the next hour from everybody else.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// How long after its time a promise holds: clients round up, add jitter and have to connect first.
const LAPSE_SECONDS: u32 = 30;
/// How much before its time a promise holds: timers of clients are not exact, and times are told in whole milliseconds.
const EARLY: Duration = Duration::from_millis(50);
/// One token in the unit in which they are counted: with it, a rate per second is a rate per nanosecond.
const TOKEN: i128 = 1_000_000_000;

/// Lets handshakes in, or tells when. One for all drivers.
#[derive(Debug)]
pub(crate) struct Admission {
    per_second: i128,
    burst: i128,
    /// What is left, in billionths of a token. Below zero, it is what was promised and has not grown yet.
    credit: i128,
    /// The latest time that was seen.
    now: Duration,
    /// What addresses were promised.
    promised: HashMap<IpAddr, Vec<Promises>>,
    /// The same in the order in which they become due. An entry whose promises were kept stays until it lapses.
    dues: VecDeque<Due>,
    counts: Counts,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Handshakes that were told to come back.
    pub(crate) refused: u64,
    /// Promises that were given up for newer ones before anybody came for them.
    pub(crate) forgotten: u64,
}

/// Promises of one address that become due in the same second.
#[derive(Debug)]
struct Promises {
    second: u32,
    count: u32,
}

/// That some promises of an address become due.
#[derive(Debug)]
struct Due {
    second: u32,
    address: IpAddr,
}

impl Admission {
    /// Takes `per_second` handshakes a second, and up to `burst` at once after a quiet time. Neither may be 0.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let (per_second, burst) = (i128::from(per_second.max(1)), i128::from(burst.max(1)) * TOKEN);
        Self {
            per_second,
            burst,
            credit: burst,
            now: Duration::ZERO,
            promised: HashMap::new(),
            dues: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Whether a handshake from `ip` is taken `now`, a time since some start that does not go back.
    ///
    /// # Errors
    /// After how long it should come back: it is taken then, if it is not much later.
    pub(crate) fn admit(&mut self, ip: IpAddr, now: Duration) -> Result<(), Duration> {
        let address = known_as(ip);
        self.advance(now);
        if self.redeem(address) {
            return Ok(());
        }
        if self.credit >= TOKEN {
            self.credit -= TOKEN;
            return Ok(());
        }
        self.counts.refused += 1;
        // After this time the token that is taken here will have grown.
        let nanos = (TOKEN - self.credit + self.per_second - 1) / self.per_second;
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if wait > AHEAD_MAX {
            return Err(AHEAD_MAX);
        }
        self.credit -= TOKEN;
        self.promise(address, second(self.now + wait));
        Err(wait)
    }

    /// What happened so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn advance(&mut self, now: Duration) {
        // Drivers look at the clock before they wait for their turn here, so times may come a little out of order.
        let passed = now.saturating_sub(self.now);
        self.now += passed;
        let grown = i128::try_from(passed.as_nanos()).unwrap_or(i128::MAX).saturating_mul(self.per_second);
        self.credit = self.credit.saturating_add(grown).min(self.burst);
        let lapsed = second(self.now).saturating_sub(LAPSE_SECONDS);
        while self.dues.front().is_some_and(|due| due.second < lapsed) {
            self.drop_oldest();
        }
        if self.dues.is_empty() && self.dues.capacity() > DUES_KEPT {
            // The storm is over: its memory goes back.
            (self.promised, self.dues) = Default::default();
        }
    }

    /// Keeps the oldest promise of the address that is due, if there is one.
    fn redeem(&mut self, address: IpAddr) -> bool {
        let Some(promises) = self.promised.get_mut(&address) else { return false };
        let Some(first) = promises.first_mut().filter(|first| first.second <= second(self.now + EARLY)) else {
            return false;
        };
        first.count -= 1;
        if first.count == 0 {
            promises.remove(0);
        }
        if promises.is_empty() {
            self.promised.remove(&address);
        }
        true
    }

    /// Seconds come in order, because the promises before this one are paid before it.
    fn promise(&mut self, address: IpAddr, second: u32) {
        if let Some(last) = self.promised.get_mut(&address).and_then(|promises| promises.last_mut())
            && last.second == second
        {
            last.count += 1;
            return;
        }
        while self.dues.len() >= DUES_MAX
            || (self.promised.len() >= ADDRESSES_MAX && !self.promised.contains_key(&address))
        {
            self.counts.forgotten += u64::from(self.drop_oldest());
        }
        self.promised.entry(address).or_default().push(Promises { second, count: 1 });
        self.dues.push_back(Due { second, address });
    }

    /// Gives up the promises that became due first; says how many that were.
    fn drop_oldest(&mut self) -> u32 {
        let Some(Due { second, address }) = self.dues.pop_front() else { return 0 };
        let Some(promises) = self.promised.get_mut(&address) else { return 0 };
        let Some(place) = promises.iter().position(|promises| promises.second == second) else { return 0 };
        let dropped = promises.remove(place).count;
        if promises.is_empty() {
            self.promised.remove(&address);
        }
        dropped
    }
}

/// The second in which `time` lies: promises hold from its beginning, because clients are told whole seconds, rounded up.
fn second(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// The address under which promises are kept. A host changes the lower half of its IPv6 address as it likes.
fn known_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    /// The same said in a simple way: everything is remembered, and looked for among everything.
    struct Model {
        per_second: i128,
        burst: i128,
        /// When the bucket would be full if nobody came any more, in nanoseconds times `per_second`.
        full_at: i128,
        /// Address, and from when it is taken.
        promises: Vec<(u32, Duration)>,
    }

    impl Model {
        fn admit(&mut self, address: u32, now: Duration) -> Result<(), Duration> {
            let seconds = |time: Duration| time.as_secs();
            let holds = |slot: Duration| {
                seconds(slot) <= seconds(now + EARLY) && seconds(now) <= seconds(slot) + u64::from(LAPSE_SECONDS)
            };
            let kept = self.promises.iter().position(|(whose, slot)| *whose == address && holds(*slot));
            if let Some(kept) = kept {
                self.promises.remove(kept);
                return Ok(());
            }
            let now_scaled = now.as_nanos() as i128 * self.per_second;
            let full_at = self.full_at.max(now_scaled) + TOKEN;
            let missing = full_at - now_scaled - self.burst * TOKEN;
            if missing <= 0 {
                self.full_at = full_at;
                return Ok(());
            }
            let wait = Duration::from_nanos((missing as u64).div_ceil(self.per_second as u64));
            if wait > AHEAD_MAX {
                return Err(AHEAD_MAX);
            }
            self.full_at = full_at;
            self.promises.push((address, now + wait));
            Err(wait)
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_model_says(
            (per_second, burst) in (1_u32..50, 1_u32..20),
            // Few addresses, so that they meet; pauses from none to longer than a promise holds.
            steps in prop::collection::vec(
                (0_u32..6, prop_oneof![4 => Just(0), 8 => 0_u64..100, 4 => 0_u64..3_000, 1 => 0_u64..40_000]),
                1..400,
            ),
        ) {
            let mut admission = Admission::new(per_second, burst);
            let mut model =
                Model { per_second: per_second.into(), burst: burst.into(), full_at: 0, promises: Vec::new() };
            let mut now = Duration::ZERO;
            let (mut admitted, mut refused) = (0, 0);
            for (address, pause_ms) in steps {
                now += Duration::from_millis(pause_ms);
                let answer = admission.admit(ip(address), now);
                prop_assert_eq!(answer, model.admit(address, now), "address {} at {:?}", address, now);
                admitted += u64::from(answer.is_ok());
                refused += u64::from(answer.is_err());
                // Who comes early is taken up to a second before its token has grown.
                let grown = u64::from(per_second) * (now + SECOND + EARLY).as_millis() as u64 / 1_000;
                prop_assert!(admitted <= u64::from(burst) + grown);
            }
            prop_assert_eq!(admission.counts(), Counts { refused, forgotten: 0 });
        }
    }

    /// What a client does: it comes, is told a time, comes then, and counts how often it was refused.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Visit {
        at: std::cmp::Reverse<Duration>,
        client: u32,
        refusals: u32,
    }

    /// 15,000 clients a second for 10 s, where 10,000 are taken.
    #[test]
    fn in_a_storm_nobody_is_refused_twice() {
        const CLIENTS: u32 = 150_000;
        let (per_second, burst) = (10_000, 20_000);
        let mut admission = Admission::new(per_second, burst);
        let coming =
            (0..CLIENTS).map(|client| Visit { at: std::cmp::Reverse(SECOND * client / 15_000), client, refusals: 0 });
        let mut visits: BinaryHeap<Visit> = coming.collect();
        let (mut admitted, mut refused_once, mut last) = (0, 0, Duration::ZERO);
        while let Some(Visit { at: std::cmp::Reverse(now), client, refusals }) = visits.pop() {
            // Addresses of both kinds, each client with its own.
            let ip = if client % 2 == 0 { ip(client) } else { Ipv6Addr::from_bits(u128::from(client) << 64).into() };
            match admission.admit(ip, now) {
                Ok(()) => {
                    admitted += 1;
                    refused_once += refusals;
                    last = now;
                    let allowed = u128::from(burst) + u128::from(per_second) * now.as_micros() / 1_000_000;
                    assert!(admitted <= allowed, "{admitted} at {now:?}, {allowed} are allowed");
                }
                Err(wait) => {
                    assert_eq!(refusals, 0, "client {client} came when it was told, at {now:?}, and is told {wait:?}");
                    // By the header, in whole seconds, or by `retry_ms`; and up to a second late.
                    let told = if client % 3 == 0 { Duration::from_secs(wait.as_secs() + 1) } else { wait };
                    let late = Duration::from_micros(u64::from(client) * 7_919 % 1_000_000);
                    visits.push(Visit { at: std::cmp::Reverse(now + told + late), client, refusals: 1 });
                }
            }
        }
        assert_eq!((admitted, admission.counts().forgotten), (u128::from(CLIENTS), 0));
        assert_eq!(u64::from(refused_once), admission.counts().refused);
        // 150,000 take 13 s at that rate after that burst; then come those who were told whole seconds and were late.
        assert!(last < SECOND * 15 + SECOND / 10, "{last:?}");
    }

    #[test]
    fn promises_are_bounded_and_the_oldest_go_first() {
        let mut admission = Admission::new(10_000, 1);
        assert_eq!(admission.admit(ip(0), Duration::ZERO), Ok(()));
        let many = ADDRESSES_MAX as u32 + 10;
        for address in 1..=many {
            admission.admit(ip(address), Duration::ZERO).unwrap_err();
        }
        assert_eq!(admission.counts(), Counts { refused: many.into(), forgotten: 10 });
        let later = Duration::from_secs(20);
        // The bucket is full again by then, so it is emptied first.
        assert_eq!(admission.admit(ip(0), later), Ok(()));
        // Those that are kept first: who is refused here gets a promise and needs a place.
        let cases = [(11, true), (many, true), (1, false), (10, false), (12, true), (12, false)];
        for (address, expected) in cases {
            assert_eq!(admission.admit(ip(address), later).is_ok(), expected, "{address}");
        }
        assert_eq!((admission.promised.len(), admission.counts().forgotten), (ADDRESSES_MAX, 10));
        // Much later nothing is left of all that.
        assert_eq!(admission.admit(ip(0), later * 10), Ok(()));
        assert_eq!((admission.promised.capacity(), admission.dues.capacity()), (0, 0));
    }

    #[test]
    fn a_flood_does_not_take_the_next_hour() {
        let mut admission = Admission::new(1, 1);
        let waits: Vec<_> = (0..1_000).map(|_| admission.admit(ip(7), Duration::ZERO).err()).collect();
        assert_eq!(waits[..3], [None, Some(SECOND), Some(SECOND * 2)]);
        assert_eq!(waits[120..123], [Some(AHEAD_MAX); 3]);
        // Only the last of those at 120 s was promised something.
        let kept = (0..1_000).filter(|_| admission.admit(ip(7), AHEAD_MAX).is_ok()).count();
        assert_eq!(kept, 31, "those that have lapsed are not kept");
    }

    #[test]
    fn promises_hold_from_a_moment_before_their_second_until_they_lapse() {
        let lapse = u64::from(LAPSE_SECONDS) * 1_000;
        // The promise is for 1 s, which is told; the bucket is empty whenever somebody comes.
        for (millis, expected) in
            [(0, false), (949, false), (950, true), (1_000, true), (1_999 + lapse, true), (2_000 + lapse, false)]
        {
            let mut admission = Admission::new(1, 1);
            let at = Duration::from_millis(millis);
            assert_eq!(admission.admit(ip(1), Duration::ZERO), Ok(()));
            assert_eq!(admission.admit(ip(2), Duration::ZERO), Err(SECOND));
            while admission.admit(ip(3), at).is_ok() {}
            assert_eq!(admission.admit(ip(2), at).is_ok(), expected, "{millis} ms");
        }
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one() {
        let cases = [
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ];
        for (one, other, expected) in cases {
            let [one, other] = [one, other].map(|text| known_as(text.parse().unwrap()));
            assert_eq!(one == other, expected, "{one} {other}");
        }
    }
}
