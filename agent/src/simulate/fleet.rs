//! The fleet: which machines have power, and the two streams of events.
//!
//! One task a machine and power-on; a new boot or a power-off ends the task before, as a cut power does. The process ends when its
//! standard input does.

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::event::{BootFrom, Say, Told};
use super::image::Sampler;
use super::memory::Memory;
use super::power_on::{self, World};

/// Plays a fleet until `input` ends.
///
/// # Errors
/// When the HTTP client cannot be made, or a stream breaks.
pub async fn play(
    state: PathBuf,
    time_scale: f64,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let (say, mut said) = mpsc::unbounded_channel();
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(8).build()?;
    let world = World { state, time_scale, http, sampler: Sampler::default(), say };
    let mut powered: HashMap<String, JoinHandle<()>> = HashMap::new();
    let mut lines = input.lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                None => break,
                Some(line) if line.trim().is_empty() => {}
                Some(line) => match serde_json::from_str(&line) {
                    Ok(told) => hear(&world, &mut powered, told),
                    Err(error) => tracing::error!(%error, "an event was not understood"),
                },
            },
            Some(say) = said.recv() => write(&mut output, &say).await?,
        }
    }
    for task in powered.into_values() {
        task.abort();
    }
    Ok(())
}

fn hear(world: &World, powered: &mut HashMap<String, JoinHandle<()>>, told: Told) {
    match told {
        Told::PowerOff { node } => {
            if let Some(task) = powered.remove(&node) {
                task.abort();
            }
            if let Err(error) = Memory::of(&world.state, &node).set_running(None) {
                tracing::error!(node, %error, "cannot write the node's state");
            }
        }
        Told::Boot { node, boot, media_url, machine } => {
            tracing::info!(node, ?boot, "boots");
            let (world, name) = (world.clone(), node.clone());
            let task = tokio::spawn(async move {
                match boot {
                    BootFrom::Cd => Box::pin(power_on::from_medium(world, name, *machine, media_url)).await,
                    BootFrom::Disk => Box::pin(power_on::from_disk(world, name, *machine)).await,
                }
            });
            if let Some(before) = powered.insert(node, task) {
                before.abort();
            }
        }
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), say: &Say) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(say)?;
    line.push(b'\n');
    output.write_all(&line).await?;
    output.flush().await?;
    Ok(())
}
