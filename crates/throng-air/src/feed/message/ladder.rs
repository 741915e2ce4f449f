//! What is told about the ladder: signals upwards, decisions downwards.

use bytes::BufMut;
use throng_core::ladder::Rung;
use throng_core::ladder::reason::Reasons;
use throng_core::ladder::signals::{Decision, Share, Signals};

use super::super::wire::{Malformed, Reader, put_flag, put_option};

pub(super) fn put_decision(out: &mut Vec<u8>, decision: Decision) {
    out.put_u8(decision.rung.number());
    put_flag(out, decision.locked);
    out.put_u8(decision.reasons.bits());
}

pub(super) fn decision(reader: &mut Reader) -> Result<Decision, Malformed> {
    Ok(Decision {
        rung: Rung::new(reader.u8()?).ok_or(Malformed("there is no such rung"))?,
        locked: reader.flag()?,
        reasons: Reasons::from_bits(reader.u8()?),
    })
}

pub(super) fn put_signals(out: &mut Vec<u8>, signals: &Signals) {
    let Signals {
        lag_ms,
        spans,
        late_spans,
        listeners,
        blocked,
        ..
    } = *signals;
    for count in [lag_ms, spans, late_spans, listeners, blocked] {
        out.put_u32(count);
    }
    for share in [
        signals.cpu,
        signals.cpu_serving,
        signals.cpu_waiting,
        signals.memory_of_budget,
        signals.memory_of_machine,
        signals.memory_waiting,
    ] {
        put_share(out, share);
    }
    put_option(out, signals.joins, put_share);
}

pub(super) fn signals(reader: &mut Reader) -> Result<Signals, Malformed> {
    Ok(Signals {
        lag_ms: reader.u32()?,
        spans: reader.u32()?,
        late_spans: reader.u32()?,
        listeners: reader.u32()?,
        blocked: reader.u32()?,
        cpu: share(reader)?,
        cpu_serving: share(reader)?,
        cpu_waiting: share(reader)?,
        memory_of_budget: share(reader)?,
        memory_of_machine: share(reader)?,
        memory_waiting: share(reader)?,
        joins: reader.option(share)?,
    })
}

fn put_share(out: &mut Vec<u8>, share: Share) {
    out.put_u16(share.thousandths());
}

fn share(reader: &mut Reader) -> Result<Share, Malformed> {
    Share::new(reader.u16()?).ok_or(Malformed("more than the whole"))
}
