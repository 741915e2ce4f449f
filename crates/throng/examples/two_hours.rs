//! A data folder with a space that has been live for two hours, made in seconds: `two_hours DATA`.
//!
//! The demo's voices are encoded once and appended again and again, through the archive that also records, until the
//! timeline has come to the present. `throng serve` on the folder takes the space up; the operator's key ends it.
//! Prints one line of JSON.
#![allow(
    clippy::print_stdout,
    reason = "the links are what the caller waits for"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use throng::sound_file;
use throng::store::Store;
use throng_archive::{Archive, Flags};
use throng_core::rendition::{Channels, Rendition};
use throng_core::slug::Slug;
use throng_core::space::{Act, Actor, Announcement, Space, playhead};
use throng_core::time::UnixMillis;
use throng_core::timeline::PartIndex;
use throng_core::window::Part;
use throng_media::FRAME_LEN;
use throng_media::package::{init, renumber};
use throng_media::rendering::Renderer;

const SLUG: &str = "two-hours";
const LIVE_MS: u64 = 2 * 3_600 * 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let data = std::env::args().nth(1).context("usage: two_hours DATA")?;
    let data = PathBuf::from(data);
    fs::create_dir_all(&data)?;
    let space = live_for_two_hours()?;
    let parts = record(&space, &data.join("archive").join(&space.id))?;
    let store = Store::open(&data.join("throng.db")).await?;
    store.create(&space, &[]).await?;
    store.close().await;
    println!("{}", serde_json::json!({ "slug": SLUG, "parts": parts }));
    Ok(())
}

/// Created, and live at once, two hours ago.
fn live_for_two_hours() -> anyhow::Result<Space> {
    let created_at = now()?.minus_ms(LIVE_MS);
    let announcement = Announcement {
        id: SLUG.to_owned(),
        slug: Slug::parse(SLUG)?,
        title: "Two hours".to_owned(),
        scheduled_at: None,
        speakers: 2,
        expected_listeners: None,
    };
    let mut space = Space::announce(created_at, announcement)?;
    space.apply(created_at, Actor::Host, Act::GoLive)?;
    Ok(space)
}

/// Records until the present, and says how many parts that took.
fn record(space: &Space, folder: &Path) -> anyhow::Result<u64> {
    let talk = talk()?;
    let first = space.live_part.context("a live space has a live part")?;
    let inits = Rendition::ALL.map(|rendition| init(rendition, Channels::Mono, None));
    let mut archive = Archive::create(folder, first, &inits)?;
    for part in talk.iter().cycle() {
        let next = archive.next();
        if playhead(space.created_at, now()?) < next.end_sample() {
            break;
        }
        let part = renumber(part, next).context("our own part has our own shape")?;
        archive.append(&part, space.moment(next.next()).0, Flags::NONE)?;
    }
    archive.sync()?;
    Ok(archive.next().0 - first.0)
}

/// All that the voices say, one after the other, as parts.
fn talk() -> anyhow::Result<Vec<Part>> {
    let voices = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/voices");
    let mut files: Vec<PathBuf> = fs::read_dir(&voices)?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "flac")
    });
    files.sort();
    let mut samples = Vec::new();
    for file in &files {
        samples.extend(sound_file::read(file)?);
    }
    let mut renderer = Renderer::new(Channels::Mono, PartIndex(0), &[]);
    let (frames, _) = samples.as_chunks::<FRAME_LEN>();
    let parts: Vec<Part> = frames
        .iter()
        .filter_map(|&frame| renderer.push(&frame.into()).part)
        .collect();
    if parts.is_empty() {
        bail!("{} has no voices", voices.display());
    }
    Ok(parts)
}

fn now() -> anyhow::Result<UnixMillis> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UnixMillis(i64::try_from(since.as_millis())?))
}
