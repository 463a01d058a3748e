//! `dlc bench FILE`: times training steps.

use super::failure::Failure;
use super::load::{Loaded, load_trainable};
use super::options::Bench;
use super::run::{failure, settings, starting_tensors};
use super::{print, stages};
use crate::data::FloatType;
use crate::runtime::memory::{ProcessClock, peak_rss_mb};
use crate::train::{self, RunError, Session};
use serde_json::json;
use std::time::Instant;

/// Steps timed together: the clock is read between, so short steps are timed in longer runs.
const CHUNK_SECONDS: f64 = 0.005;

pub fn execute(options: &Bench, clock: &ProcessClock) -> Result<(), Failure> {
    let settings = settings(&options.compile, options.start.seed)?;
    let Loaded { files, program, tables, reading, .. } =
        load_trainable(&options.source, FloatType::of(settings.dtype))?;
    let init = starting_tensors(options.start.init.as_deref(), settings.dtype)?;
    let origin = match train::Source::new(&program, &tables, &settings) {
        Ok(origin) => origin,
        Err(error) => return Err(failure(error, files)),
    };
    let phase = options.phase.as_deref().map_or(Ok(0), |name| stages::phase(&origin.model, name))?;
    let measured = (|| {
        let mut session = Session::start(origin, phase, &init)?;
        let mut losses = vec![session.step()?.0];
        let first_step_ms = clock.elapsed_ms();
        while losses.len() < options.losses {
            losses.push(session.step()?.0);
        }
        losses.truncate(options.losses);
        let times = time(&mut session, options.steps)?;
        Ok::<_, RunError>((session.engine.compile_time.as_secs_f64() * 1e3, first_step_ms, losses, times))
    })();
    let (compile_ms, first_step_ms, losses, times) = measured.map_err(|e| failure(e, files))?;
    let median = times[times.len() / 2];
    let least = times[0];
    let peak = peak_rss_mb();
    let reading = reading.as_secs_f64() * 1e3;
    if options.json {
        let mut object = json!({
            "file": options.source.file.display().to_string(),
            "steps": options.steps,
            "threads": settings.threads,
            "ms_median": median,
            "ms_min": least,
            "compile_ms": compile_ms,
            "first_step_ms": first_step_ms,
            "reading_ms": reading,
            "peak_rss_mb": peak,
        });
        if options.losses > 0 {
            object["losses"] = json!(losses);
        }
        return print(&format!("{object}\n"));
    }
    let mut text = format!(
        "{} steps, {} threads\nmedian      {median:.6} ms/step\nleast       {least:.6} ms/step\n\
         compiling   {compile_ms:.2} ms\nfirst step  {first_step_ms:.2} ms after the process began, {reading:.2} ms of them reading data\n",
        options.steps, settings.threads
    );
    if let Some(peak) = peak {
        text += &format!("memory      {peak:.1} MB at most\n");
    }
    if !losses.is_empty() {
        text += &format!("losses      {losses:?}\n");
    }
    print(&text)
}

/// Milliseconds per step, ascending, one figure for each run of steps timed together.
fn time(session: &mut Session, steps: u64) -> Result<Vec<f64>, RunError> {
    let warm = Instant::now();
    let mut warmed = 0u32;
    while warmed < 5 || (warm.elapsed().as_secs_f64() < 0.1 && u64::from(warmed) < steps) {
        session.step()?;
        warmed += 1;
    }
    let each = warm.elapsed().as_secs_f64() / f64::from(warmed);
    let chunk = ((CHUNK_SECONDS / each) as u64).clamp(1, steps.div_ceil(5).max(1));
    let mut times = Vec::new();
    let mut left = steps;
    while left > 0 {
        let now = chunk.min(left);
        let start = Instant::now();
        for _ in 0..now {
            session.step()?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3 / now as f64);
        left -= now;
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
