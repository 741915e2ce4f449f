//! Ctrl-C and SIGTERM as a flag that a blocking command looks at between two waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether the person wants the command to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that the first Ctrl-C or SIGTERM raises; the second one ends the process at once, as without us.
    pub fn watch() -> io::Result<Self> {
        let interrupt = Self::default();
        let raised = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                if runtime.block_on(first_signal()).is_ok() {
                    raised.raise();
                }
                if runtime.block_on(first_signal()).is_ok() {
                    std::process::exit(EXIT_OF_SECOND_SIGNAL);
                }
            })?;
        Ok(interrupt)
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn first_signal() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// What a shell reports of a program that SIGINT killed.
const EXIT_OF_SECOND_SIGNAL: i32 = 130;
