//! Every help text, word for word: of the program and of each of its commands, short and long.

use crate::process::Sandbox;

/// The commands that the help names, in its order.
pub(crate) fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.run(&["-h"]).expect(0).stdout;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        let is_first_line = line.starts_with("  ") && !line.starts_with("   ");
        is_first_line.then(|| line.split_whitespace().next().unwrap().to_owned())
    });
    names.filter(|name| name != "help").collect()
}

#[test]
fn the_program_explains_itself() {
    let sandbox = Sandbox::new();
    let long = sandbox.run(&["--help"]).expect(0).stdout;
    for code in ["0 ", "1 ", "2 ", "3 ", "69 ", "75 ", "130 "] {
        assert!(long.lines().any(|line| line.trim_start().starts_with(code)), "{code}");
    }
    insta::assert_snapshot!(long);
}

#[test]
fn every_command_explains_itself() {
    let sandbox = Sandbox::new();
    let commands = commands(&sandbox);
    assert!(commands.len() >= 7, "{commands:?}");
    for command in &commands {
        let short = sandbox.run(&[command, "-h"]).expect(0).stdout;
        let long = sandbox.run(&[command, "--help"]).expect(0).stdout;
        for help in [&short, &long] {
            for part in ["Usage: titan-download ", "Examples:", "Exit codes: "] {
                assert!(help.contains(part), "{command}: no `{part}`");
            }
        }
        assert_eq!(sandbox.run(&["help", command]).expect(0).stdout, long, "{command}");
        insta::assert_snapshot!(format!("help_of_{command}"), format!("{short}\n=====\n\n{long}"));
    }
}
