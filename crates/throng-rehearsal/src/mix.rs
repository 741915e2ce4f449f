//! Which way each of a crowd listens: shares that are dealt out evenly, so that any stretch of it has them. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// HLS: playlists and parts on a connection that is kept.
    Hls,
    /// Any other player: `live.webm` and `live.aac` in turn.
    Plain,
    /// Our page: `live.mp4`.
    Progressive,
}

impl Via {
    const ALL: [Self; 3] = [Self::Hls, Self::Plain, Self::Progressive];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hls => "hls",
            Self::Plain => "plain",
            Self::Progressive => "progressive",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.name() == name)
    }
}

/// Shares of ways to listen, at least one of them above 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix(Vec<(Via, u32)>);

/// Why a text is no mix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mix of progressive, hls and plain, such as progressive=80,hls=15,plain=5")]
pub struct NoMix;

impl Mix {
    /// Whether it is one that a text could name: some share, none too large, no way twice.
    pub(crate) fn is_sound(&self) -> bool {
        let within = |(_, share): &(Via, u32)| (1..=SHARE_MAX).contains(share);
        (1..=Via::ALL.len()).contains(&self.0.len()) && self.0.iter().all(within)
    }

    /// One run of the mix, as long as the shares add up to: listener n goes the way of place n in it, again and again.
    /// Each share is exact in a run, and spread over it.
    pub fn run(&self) -> Vec<Via> {
        let whole: u32 = self.0.iter().map(|(_, share)| *share).sum();
        let mut dealt = vec![0_i64; self.0.len()];
        let mut run = Vec::new();
        for turn in 1..=i64::from(whole) {
            // Whoever is furthest behind his share is next.
            let behind = |place: &usize| {
                i64::from(self.0[*place].1) * turn - dealt[*place] * i64::from(whole)
            };
            let next = (0..self.0.len()).max_by_key(behind);
            let next = next.expect("a mix has a share");
            dealt[next] += 1;
            run.push(self.0[next].0);
        }
        run
    }
}

impl FromStr for Mix {
    type Err = NoMix;

    fn from_str(text: &str) -> Result<Self, NoMix> {
        if let Some(via) = Via::parse(text) {
            return Ok(Self(vec![(via, 1)]));
        }
        let mut shares: Vec<(Via, u32)> = Vec::new();
        for pair in text.split(',') {
            let (name, share) = pair.split_once('=').ok_or(NoMix)?;
            let via = Via::parse(name.trim()).ok_or(NoMix)?;
            let share: u32 = share.trim().parse().map_err(|_| NoMix)?;
            if share > SHARE_MAX || shares.iter().any(|(known, _)| *known == via) {
                return Err(NoMix);
            }
            shares.push((via, share));
        }
        shares.retain(|(_, share)| *share > 0);
        if shares.is_empty() {
            return Err(NoMix);
        }
        Ok(Self(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(only, _)] = &self.0[..] {
            return f.write_str(only.name());
        }
        let shares = self.0.iter();
        let text: Vec<_> = shares
            .map(|(via, share)| format!("{}={share}", via.name()))
            .collect();
        f.write_str(&text.join(","))
    }
}

/// Per cent and per mille fit; a run stays short enough to be laid out.
const SHARE_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_in_every_run_and_spread_over_it() {
        let mix: Mix = "progressive=80,hls=15,plain=5".parse().unwrap();
        let run = mix.run();
        let count = |run: &[Via], wanted: Via| run.iter().filter(|via| **via == wanted).count();
        assert_eq!(run.len(), 100);
        assert_eq!(count(&run, Via::Hls), 15);
        assert_eq!(count(&run, Via::Plain), 5);
        for stretch in run.chunks(20) {
            assert_eq!(count(stretch, Via::Plain), 1, "{run:?}");
            assert_eq!(count(stretch, Via::Hls), 3, "{run:?}");
        }
    }

    #[test]
    fn one_way_alone_needs_no_share_and_nonsense_is_refused() {
        assert_eq!("hls".parse::<Mix>().unwrap().run(), [Via::Hls]);
        for nonsense in ["", "whep", "hls=0", "hls=1,hls=2", "hls=x", "hls=9999"] {
            assert_eq!(nonsense.parse::<Mix>(), Err(NoMix), "{nonsense}");
        }
        for text in ["progressive=80,hls=15,plain=5", "hls"] {
            assert_eq!(text.parse::<Mix>().unwrap().to_string(), text);
        }
    }
}
