//! A client's terminal modes (RFC 4254 §8, RFC 8160), set on the terminal as sshd does.

use std::os::fd::OwnedFd;

use podgate_proto::v1::TerminalMode;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    tcgetattr, tcsetattr,
};

/// A control character of this value is none.
const NONE: u32 = 255;
/// The kernel's word for none (_POSIX_VDISABLE of Linux).
const DISABLED: u8 = 0;

/// Sets them. Those that Linux does not know, and speeds, are passed over.
pub(super) fn set(terminal: &OwnedFd, modes: &[TerminalMode]) {
    let set = tcgetattr(terminal).and_then(|mut termios| {
        for mode in modes {
            apply(&mut termios, mode);
        }
        tcsetattr(terminal, OptionalActions::Now, &termios)
    });
    if let Err(error) = set {
        tracing::debug!(%error, "a terminal's modes cannot be set");
    }
}

fn apply(termios: &mut Termios, mode: &TerminalMode) {
    if let Some(index) = character(mode.opcode) {
        let value = match mode.argument {
            NONE => DISABLED,
            // One byte is what counts, as in sshd.
            value => value.to_le_bytes()[0],
        };
        termios.special_codes[index] = value;
        return;
    }
    let on = mode.argument != 0;
    if let Some(flag) = input(mode.opcode) {
        termios.input_modes.set(flag, on);
    } else if let Some(flag) = local(mode.opcode) {
        termios.local_modes.set(flag, on);
    } else if let Some(flag) = output(mode.opcode) {
        termios.output_modes.set(flag, on);
    } else if let Some(flag) = control(mode.opcode) {
        termios.control_modes.set(flag, on);
    }
}

fn character(opcode: u32) -> Option<SpecialCodeIndex> {
    Some(match opcode {
        1 => SpecialCodeIndex::VINTR,
        2 => SpecialCodeIndex::VQUIT,
        3 => SpecialCodeIndex::VERASE,
        4 => SpecialCodeIndex::VKILL,
        5 => SpecialCodeIndex::VEOF,
        6 => SpecialCodeIndex::VEOL,
        7 => SpecialCodeIndex::VEOL2,
        8 => SpecialCodeIndex::VSTART,
        9 => SpecialCodeIndex::VSTOP,
        10 => SpecialCodeIndex::VSUSP,
        12 => SpecialCodeIndex::VREPRINT,
        13 => SpecialCodeIndex::VWERASE,
        14 => SpecialCodeIndex::VLNEXT,
        18 => SpecialCodeIndex::VDISCARD,
        _ => return None,
    })
}

fn input(opcode: u32) -> Option<InputModes> {
    Some(match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        42 => InputModes::IUTF8,
        _ => return None,
    })
}

fn local(opcode: u32) -> Option<LocalModes> {
    Some(match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => return None,
    })
}

fn output(opcode: u32) -> Option<OutputModes> {
    Some(match opcode {
        70 => OutputModes::OPOST,
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => return None,
    })
}

fn control(opcode: u32) -> Option<ControlModes> {
    Some(match opcode {
        90 => ControlModes::CS7,
        91 => ControlModes::CS8,
        92 => ControlModes::PARENB,
        93 => ControlModes::PARODD,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, openpt};

    #[test]
    fn modes_are_the_terminals() {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let mode = |(opcode, argument)| TerminalMode { opcode, argument };
        let asked = [
            (1, 2),
            (3, 8),
            (6, 255),
            (38, 0),
            (53, 0),
            (72, 0),
            (128, 38400),
            (250, 1),
        ];
        set(&terminal, &asked.map(mode));
        let seen = tcgetattr(&terminal).unwrap();
        let characters = [
            SpecialCodeIndex::VINTR,
            SpecialCodeIndex::VERASE,
            SpecialCodeIndex::VEOL,
        ];
        assert_eq!(characters.map(|index| seen.special_codes[index]), [2, 8, 0]);
        assert!(!seen.input_modes.contains(InputModes::IXON));
        assert!(!seen.local_modes.contains(LocalModes::ECHO));
        assert!(!seen.output_modes.contains(OutputModes::ONLCR));
        assert!(seen.local_modes.contains(LocalModes::ICANON));
    }
}
