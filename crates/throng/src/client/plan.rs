//! `throng plan`: from a certificate to the machines of an event.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use throng_rehearsal::plan::{Plan, Wish, plan};

use super::{Error, verify};

/// Plan an event from a capacity certificate: nodes, bits per second, joins per second, and what was assumed.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Listeners at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub listeners: u64,
    /// The certificate of `throng rehearse`.
    #[arg(long, value_name = "FILE.json")]
    pub certificate: PathBuf,
    /// The link of one node in bits per second, such as 10G or 500M.
    #[arg(long, value_name = "BITS", value_parser = parse_bits, default_value = "10G")]
    pub link: u64,
    /// Listeners come over TLS to the nodes themselves, with nothing in front.
    #[arg(long)]
    pub tls: bool,
    /// Print the plan as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Checks the certificate and prints the plan.
pub fn run(args: &PlanArgs, output: &mut dyn Write) -> Result<(), Error> {
    let found = verify::check(&args.certificate, None)?;
    let valid = found.valid;
    let Some(certificate) = found.certificate.as_ref().filter(|_| valid) else {
        return Err(verify::invalid(&args.certificate, &found));
    };
    let wish = Wish {
        listeners: args.listeners,
        link_bits: args.link,
        tls: args.tls,
    };
    let plan = plan(wish, certificate)?;
    if args.json {
        let line = serde_json::to_string(&plan).map_err(io::Error::from)?;
        writeln!(output, "{line}")?;
    } else {
        write_words(&plan, output)?;
    }
    output.flush()?;
    Ok(())
}

fn write_words(plan: &Plan, output: &mut dyn Write) -> io::Result<()> {
    let mut row = |name: &str, value: String| writeln!(output, "{name:<16}{value}");
    row("listeners", plan.listeners.to_string())?;
    row("nodes", plan.nodes.to_string())?;
    let bounds: Vec<String> = plan
        .bounds
        .iter()
        .map(|(bound, listeners)| format!("{} {listeners}", bound.name()))
        .collect();
    row(
        "each node",
        format!(
            "{} listeners, bound by {} ({})",
            plan.listeners_per_node,
            plan.bound.name(),
            bounds.join(", ")
        ),
    )?;
    row(
        "egress",
        format!(
            "{}.{} Gb/s",
            plan.egress_bits / 1_000_000_000,
            plan.egress_bits / 100_000_000 % 10
        ),
    )?;
    row(
        "joins",
        format!(
            "{} /s in all, {} /s for a node",
            plan.joins_per_second, plan.joins_per_second_per_node
        ),
    )?;
    writeln!(output, "\nassumed:")?;
    for assumption in &plan.assumptions {
        writeln!(output, "  {assumption}")?;
    }
    Ok(())
}

fn parse_bits(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.trim_end_matches(['b', '/', 's']) {
        number if number.ends_with('G') => (&number[..number.len() - 1], 1_000_000_000),
        number if number.ends_with('M') => (&number[..number.len() - 1], 1_000_000),
        number => (number, 1),
    };
    let bits = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    bits.filter(|bits| (1_000_000..=10_000_000_000_000).contains(bits))
        .ok_or_else(|| "not a speed as in 10G, 500M or 1000000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_with_their_unit() {
        assert_eq!(parse_bits("10G"), Ok(10_000_000_000));
        assert_eq!(parse_bits("500Mb/s"), Ok(500_000_000));
        assert_eq!(parse_bits("25000000"), Ok(25_000_000));
        for wrong in ["", "G", "10", "-1G", "99999999G"] {
            assert!(parse_bits(wrong).is_err(), "{wrong}");
        }
    }
}
