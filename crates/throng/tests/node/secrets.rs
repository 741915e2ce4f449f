//! Keys open doors and are written down nowhere.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::house::House;

/// Everything that this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_ever_logged() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .init();
    let house = House::start().await;
    let space = house.announce("A talk").await;
    let path = format!("/api/spaces/{}", space.slug);
    let wrong = "A".repeat(43);
    for key in [&house.operator, &space.host, &space.speakers[0], &wrong] {
        house.call("GET", &path, key, "").await;
        house.call("PATCH", &path, key, "{").await;
        let whip = format!("/s/{}/whip", space.slug);
        house.call("POST", &whip, key, "v=0").await;
    }
    assert_eq!(house.step(&space, "open-doors").await.status, 200);
    let keys = [
        house.operator.clone(),
        space.host,
        space.speakers[0].clone(),
        wrong,
    ];
    house.restart().await;
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("INSERT INTO spaces"), "the log is on");
    for key in keys {
        assert!(!log.contains(&key));
    }
}
