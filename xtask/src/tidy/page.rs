//! The weight of the page that everybody loads.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Finding, Source};

pub(crate) const PAGE: &str = "web/listen.html";

/// Page, manifest and the first bytes of sound share one initial TCP window of 14 KB; the page may take 12 of them.
pub(crate) const PAGE_BYTES_MAX: usize = 12 * 1024;

pub(super) fn weight(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else {
        return Vec::new();
    };
    match compressed(page.text.as_bytes()) {
        Err(error) => vec![Finding::new(
            page,
            0,
            format!("its weight is unknown: {error}"),
        )],
        Ok(bytes) if bytes > PAGE_BYTES_MAX => {
            vec![Finding::new(
                page,
                0,
                format!("{bytes} bytes compressed (limit {PAGE_BYTES_MAX})"),
            )]
        }
        Ok(_) => Vec::new(),
    }
}

/// Bytes after `gzip -9`.
pub(crate) fn compressed(text: &[u8]) -> std::io::Result<usize> {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut into = gzip.stdin.take().expect("it was asked to be piped");
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || into.write_all(text));
        let output = gzip.wait_with_output()?;
        writing.join().expect("writing to a pipe does not panic")?;
        Ok(output.stdout.len())
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_page_that_outgrew_its_window_is_found() {
        let light = "<p>".repeat(20_000);
        assert_eq!(weight(&[source(PAGE, &light)]).len(), 0);
        let mut chance = 1_u64;
        let heavy = std::iter::repeat_with(|| {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{:08x}", chance >> 32)
        });
        let heavy: String = heavy.take(PAGE_BYTES_MAX / 2).collect();
        assert_eq!(weight(&[source(PAGE, &heavy)]).len(), 1);
    }
}
