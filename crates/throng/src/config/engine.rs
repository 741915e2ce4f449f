//! How listeners are served: the settings that a node and an edge have alike.

use std::num::{NonZeroU8, NonZeroU64};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use throng_air::engine::Backend;

/// The settings as flags and environment give them, or the file of a node.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct EngineArgs {
    /// How listeners are served; `auto` takes `io_uring` where the system allows it [default: auto]
    #[arg(long, env = "THRONG_AIR_BACKEND", value_name = "NAME")]
    pub air_backend: Option<AirBackend>,
    /// Threads of each process that serve listeners [default: all processes together one per core; with `io_uring` at least 4, for 16,000 listeners each]
    #[arg(long, env = "THRONG_AIR_THREADS", value_name = "N")]
    pub air_threads: Option<NonZeroU8>,
    /// Bytes of memory for all processes together; as they are used up, listeners are served more cheaply, and then nobody more is let in [default: 80 % of the machine's or container's, without the first]
    #[arg(long, env = "THRONG_MEMORY_MAX", value_name = "BYTES")]
    pub memory_max: Option<NonZeroU64>,
}

impl EngineArgs {
    /// Flags and environment win over what a file says.
    pub(crate) fn resolve(self, file: Self) -> EngineConfig {
        EngineConfig {
            backend: self.air_backend.or(file.air_backend).unwrap_or_default(),
            threads: self.air_threads.or(file.air_threads),
            memory_max: self.memory_max.or(file.memory_max),
        }
    }
}

/// The resolved settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct EngineConfig {
    /// How loops speak with the system.
    pub backend: AirBackend,
    /// Threads of each process that serve listeners; chosen by the machine where absent.
    pub threads: Option<NonZeroU8>,
    /// Bytes of memory for all processes together, as far as the operator bounds them.
    pub memory_max: Option<NonZeroU64>,
}

/// How loops speak with the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AirBackend {
    /// `io_uring` where the system allows it.
    #[default]
    Auto,
    /// Everywhere.
    Epoll,
    /// With direct descriptors, which the limit of open files does not bind.
    IoUring,
}

impl From<AirBackend> for Backend {
    fn from(backend: AirBackend) -> Self {
        match backend {
            AirBackend::Auto => Self::Auto,
            AirBackend::Epoll => Self::Epoll,
            AirBackend::IoUring => Self::IoUring,
        }
    }
}
