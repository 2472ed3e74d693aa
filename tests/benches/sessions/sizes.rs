//! How much is measured, from the command line.

use anyhow::{Result, bail};

/// Rows that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Container,
    Entry,
    Open,
    New,
    Keystroke,
    Stdout,
    Stdin,
    Idle,
    After,
    Storm,
    Strangers,
}

const GROUPS: [Group; 11] = [
    Group::Container,
    Group::Entry,
    Group::Open,
    Group::New,
    Group::Keystroke,
    Group::Stdout,
    Group::Stdin,
    Group::Idle,
    Group::After,
    Group::Storm,
    Group::Strangers,
];

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Entry => "entry",
            Self::Open => "open",
            Self::New => "new",
            Self::Keystroke => "keystroke",
            Self::Stdout => "stdout",
            Self::Stdin => "stdin",
            Self::Idle => "idle",
            Self::After => "after",
            Self::Storm => "storm",
            Self::Strangers => "strangers",
        }
    }
}

/// How often, and how much, each thing is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Runs of `true`, each way.
    pub(crate) commands: usize,
    /// Keystrokes, each way.
    pub(crate) keystrokes: usize,
    /// Bytes of a bulk transfer.
    pub(crate) bulk: u64,
    /// Bulk transfers, each way.
    pub(crate) transfers: usize,
    /// Idle shells.
    pub(crate) shells: usize,
    /// Clients of a storm.
    pub(crate) storm: usize,
}

const FULL: Sizes = Sizes {
    commands: 500,
    keystrokes: 4000,
    bulk: 1 << 30,
    transfers: 3,
    shells: 1000,
    storm: 500,
};

const QUICK: Sizes = Sizes {
    commands: 30,
    keystrokes: 300,
    bulk: 1 << 26,
    transfers: 2,
    shells: 100,
    storm: 50,
};

/// Reads the arguments: `--quick`, and names of groups. Without a name, all groups.
pub(crate) fn asked() -> Result<(Sizes, Vec<Group>)> {
    let (mut sizes, mut groups) = (FULL, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // cargo adds this.
            "--bench" => {}
            "--quick" => sizes = QUICK,
            name => match GROUPS.iter().find(|group| group.name() == name) {
                Some(group) => groups.push(*group),
                None => bail!("{name}: not one of {:?}", GROUPS.map(Group::name)),
            },
        }
    }
    if groups.is_empty() {
        groups = GROUPS.into();
    }
    Ok((sizes, groups))
}
