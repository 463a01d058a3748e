//! `dlc new NAME`: a folder with a small model that trains at once.

use super::failure::Failure;
use super::options::New;
use super::print;
use crate::data::describe;
use crate::scalar::random::Key;
use std::f64::consts::PI;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

const MODEL: &str = include_str!("../../lang/starter/model.dl");
const README: &str = include_str!("../../lang/starter/README.md");
const IGNORED: &str = include_str!("../../lang/starter/gitignore");

/// Rows of the starter's data.
const POINTS: usize = 400;

/// The standard deviation of the noise on the points.
const NOISE: f64 = 0.15;

pub fn execute(options: &New) -> Result<(), Failure> {
    let folder = &options.name;
    let Some(name) = folder.file_name() else {
        return Err(Failure::message(format!("`{}` is no name for a new folder", folder.display())));
    };
    // A link that leads nowhere counts as there too.
    if fs::symlink_metadata(folder).is_ok() {
        let help = "choose another name; nothing was written";
        return Err(Failure::message(format!("{} exists already\nhelp: {help}", folder.display())));
    }
    // Written beside its place and moved there whole.
    let mut partial = name.to_os_string();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = folder.with_file_name(partial);
    fill(&partial, &name.to_string_lossy()).and_then(|()| fs::rename(&partial, folder)).map_err(|error| {
        // What could not be written need not be there to be removed.
        let _ = fs::remove_dir_all(&partial);
        Failure::message(format!("{} cannot be created: {}", folder.display(), describe(&error)))
    })?;
    let shown = folder.display();
    print(&format!(
        "created {shown} with model.dl, data/points.csv and README.md\n\nnext:\n    cd {shown}\n    dlc run model.dl\n"
    ))
}

fn fill(folder: &Path, name: &str) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::create_dir(folder.join("data"))?;
    fs::write(folder.join("model.dl"), MODEL)?;
    fs::write(folder.join("data/points.csv"), points())?;
    fs::write(folder.join("README.md"), README.replacen("NAME", name, 1))?;
    fs::write(folder.join(".gitignore"), IGNORED)
}

/// Two half moons that reach into each other, one of each class after the other.
fn points() -> String {
    let key = Key::derive(0, 0, 0);
    let mut text = String::from("x1,x2,label\n");
    for row in 0..POINTS {
        let draw = |k: usize| key.uniform_f64((3 * row + k) as u64);
        let label = row % 2;
        let angle = PI * draw(0);
        // Box and Muller (1958).
        let (radius, turn) = (NOISE * (-2.0 * (1.0 - draw(1)).ln()).sqrt(), 2.0 * PI * draw(2));
        let (x, y) = if label == 0 { (angle.cos(), angle.sin()) } else { (1.0 - angle.cos(), 0.5 - angle.sin()) };
        let _ = writeln!(text, "{:.3},{:.3},{label}", x + radius * turn.cos(), y + radius * turn.sin());
    }
    text
}
