//! How the policy in force is written into a header, and read from it.

use super::fields;
use crate::policy::{OnLoss, Policy};
use crate::wire::{Malformed, MessageWriter, malformed};

pub(super) fn encode_policy(policy: &Policy) -> Vec<u8> {
    let mut m = MessageWriter::new();
    let switches = [
        policy.stdin,
        policy.keystrokes,
        policy.stdout,
        policy.stderr,
        policy.passwords,
        policy.forwarding,
        policy.files,
        policy.strict,
    ];
    for (number, on) in (1u32..).zip(switches) {
        m.uint(number, u64::from(on));
    }
    let on_loss = match policy.on_loss {
        OnLoss::End => 0,
        OnLoss::Hold => 1,
        OnLoss::Continue => 2,
    };
    m.uint(9, on_loss).uint(10, policy.hold_ms_max);
    // Absent where there is nothing to say, as recordings were before there was a central policy.
    for (number, value) in [
        (11, policy.idle_ms_max),
        (12, policy.bulk_bytes_max),
        (13, policy.version),
    ] {
        if value > 0 {
            m.uint(number, value);
        }
    }
    if !policy.rule.is_empty() {
        m.text(14, &policy.rule);
    }
    m.finish()
}

pub(super) fn decode_policy(bytes: &[u8]) -> Result<Policy, Malformed> {
    let mut policy = Policy::default();
    fields(bytes, |number, field| {
        let n = match number {
            1..=13 => field.uint("policy")?,
            14 => {
                policy.rule = field.text("policy.rule")?;
                return Ok(());
            }
            _ => return Ok(()),
        };
        match number {
            1 => policy.stdin = n == 1,
            2 => policy.keystrokes = n == 1,
            3 => policy.stdout = n == 1,
            4 => policy.stderr = n == 1,
            5 => policy.passwords = n == 1,
            6 => policy.forwarding = n == 1,
            7 => policy.files = n == 1,
            8 => policy.strict = n == 1,
            9 => {
                policy.on_loss = match n {
                    0 => OnLoss::End,
                    1 => OnLoss::Hold,
                    2 => OnLoss::Continue,
                    _ => return malformed("policy.on_loss: not known"),
                }
            }
            10 => policy.hold_ms_max = n,
            11 => policy.idle_ms_max = n,
            12 => policy.bulk_bytes_max = n,
            _ => policy.version = n,
        }
        Ok(())
    })?;
    Ok(policy)
}
