//! `completions` and `man`: printed from the one definition of the options.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Command as ClapCommand;
use clap_complete::aot::{Bash, Fish, Generator, Zsh};
use clap_mangen::Man;

use super::super::args::{self, CompletionsArgs, ManArgs, ShellName};
use super::super::error::Failure;
use super::super::exit::ExitCode;
use super::super::settings::nearest;
use super::super::terminal;

/// Prints what a shell needs to complete command lines.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut command = args::definition();
    let name = command.get_name().to_owned();
    command.set_bin_name(name);
    command.build();
    printed(|out| match args.shell {
        ShellName::Bash => {
            let mut script = Vec::new();
            Bash.try_generate(&command, &mut script)?;
            out.write_all(one_name(&String::from_utf8_lossy(&script)).as_bytes())
        }
        ShellName::Zsh => Zsh.try_generate(&command, out),
        ShellName::Fish => Fish.try_generate(&command, out),
    })
}

/// Prints one manual page, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    let pages = pages();
    if let Some(dir) = &args.dir {
        return write_all(&pages, dir).map(|()| ExitCode::Success);
    }
    let page = match &args.command {
        None => pages.first(),
        Some(name) => pages.iter().skip(1).find(|page| page.command == *name),
    };
    match (page, &args.command) {
        (Some(page), _) => printed(|out| out.write_all(&page.text)),
        (None, name) => Err(no_page(name.as_deref().unwrap_or_default(), &pages)),
    }
}

/// The generator gives a program with a hyphen in its name two names, one where a command is
/// recognised and one where it is completed, so that no command would be completed. One is enough.
fn one_name(script: &str) -> String {
    script.replace("titan__subcmd__download", "titan__download")
}

fn printed(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<ExitCode, Failure> {
    terminal::print(write)
        .map(|()| ExitCode::Success)
        .map_err(|error| Failure::new(ExitCode::Incomplete, error))
}

fn no_page(name: &str, pages: &[Page]) -> Failure {
    let names: Vec<_> = pages.iter().skip(1).map(|page| page.command.as_str()).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("choose one of {}", names.join(", ")),
    };
    Failure::cannot_start(format!("there is no command `{name}`")).with_hint(hint)
}

/// One manual page.
struct Page {
    /// The command it is about; of the program itself its name.
    command: String,
    file: String,
    text: Vec<u8>,
}

/// The page of the program, then those of its commands.
fn pages() -> Vec<Page> {
    let mut program = args::definition();
    program.build();
    let commands: Vec<_> = program.get_subcommands().cloned().collect();
    let mut pages = vec![page(program)];
    pages.extend(commands.into_iter().filter(|c| c.get_name() != "help").map(page));
    pages
}

fn page(command: ClapCommand) -> Page {
    let name = command.get_name().to_owned();
    let title = command.get_display_name().unwrap_or(&name).to_owned();
    let man = Man::new(command).title(title.clone()).date("");
    let mut text = Vec::new();
    man.render(&mut text).expect("memory takes every byte");
    Page { command: name, file: format!("{title}.1"), text }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write the manual page `{0}`")]
struct CannotWrite(String, #[source] io::Error);

#[allow(clippy::disallowed_methods, reason = "manual pages are no part of an archive")]
fn write_all(pages: &[Page], dir: &Path) -> Result<(), Failure> {
    let fail = |path: &Path| {
        let shown = path.display().to_string();
        move |error| {
            Failure::cannot_start(CannotWrite(shown, error))
                .with_hint("name a folder that can be written with `--dir`")
        }
    };
    std::fs::create_dir_all(dir).map_err(fail(dir))?;
    for page in pages {
        let path: PathBuf = dir.join(&page.file);
        std::fs::write(&path, &page.text).map_err(fail(&path))?;
    }
    Ok(())
}
