//! The accounts of the doors.

use bytes::BufMut;

use super::super::wire::{Malformed, Reader};
use super::up::count;
use crate::ledger::{Account, Accounts};

pub(super) fn put_accounts(out: &mut Vec<u8>, accounts: &Accounts) {
    for account in accounts {
        for sum in [account.arrived, account.admitted, account.failed] {
            out.put_u64(sum);
        }
        for sum in account.refused.iter().chain(&account.closed) {
            out.put_u64(*sum);
        }
        out.put_u64(account.delivered_samples);
    }
}

pub(super) fn accounts(reader: &mut Reader) -> Result<Accounts, Malformed> {
    let mut accounts = Accounts::default();
    for account in &mut accounts {
        *account = Account {
            arrived: count(reader)?,
            admitted: count(reader)?,
            failed: count(reader)?,
            refused: counts(reader)?,
            closed: counts(reader)?,
            delivered_samples: count(reader)?,
        };
    }
    Ok(accounts)
}

fn counts<const LENGTH: usize>(reader: &mut Reader) -> Result<[u64; LENGTH], Malformed> {
    let mut counts = [0; LENGTH];
    for place in &mut counts {
        *place = count(reader)?;
    }
    Ok(counts)
}
