//! The session: reads requests, answers each in its turn.

use std::io::{self, Read, Write};

use podgate_sftp::access::Access;
use podgate_sftp::attributes::Attributes;
use podgate_sftp::reply::{Code, Name, Reply};
use podgate_sftp::request::{Extended, Message, Request};
use podgate_sftp::{MAX_DATA, MAX_MESSAGE, frame};
use rustix::fs;

use super::failure::Failure;
use super::folder::Folder;
use super::handles::{Handles, MAX_HANDLES};
use super::names::{self, Owners};
use super::output::Output;
use super::{files, metadata, paths};

/// Bytes of requests that are held: the longest one, and as much again for the next.
const INPUT: usize = 2 * (MAX_MESSAGE + frame::LENGTH);
/// Users, and groups, whose names one request asks for, at most.
const MAX_IDS: usize = 1024;
/// The mode of a new folder where the client gives none.
const NEW_FOLDER: u32 = 0o777;

/// Why a session ended before its client did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the SFTP client sent {0}")]
    Protocol(#[from] podgate_sftp::Error),
    #[error("the SFTP client sent the beginning of a message, and no more")]
    Unfinished,
    #[error("the SFTP client cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// In which order SSH_FXP_SYMLINK has its two paths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The target first, as OpenSSH's server (its PROTOCOL, 4.1) and most clients.
    OpenSsh,
    /// The link first, as the draft says.
    Draft,
}

/// One session.
pub(crate) struct Server {
    access: Access,
    links: Links,
    handles: Handles,
    /// Read when they are first needed.
    owners: Option<Owners>,
    output: Output,
}

/// What a request is answered with.
enum Answer {
    Done,
    Handle([u8; 4]),
    Names(Vec<Name>),
    Attributes(Attributes),
    StatVfs(fs::StatVfs),
    Limits,
    Owners(Vec<Vec<u8>>, Vec<Vec<u8>>),
    /// It is in the output already.
    Given,
}

impl Server {
    pub(crate) fn new(access: Access, links: Links) -> Self {
        Self {
            access,
            links,
            handles: Handles::default(),
            owners: None,
            output: Output::new(),
        }
    }

    /// Serves requests until there are no more.
    pub(crate) fn serve(mut self, mut from: impl Read, mut to: impl Write) -> Result<(), Error> {
        let mut input = vec![0; INPUT];
        let mut filled = 0;
        loop {
            let mut taken = 0;
            while let Some(message) = frame::first(input.get(taken..filled).unwrap_or_default())? {
                if self.output.is_full() {
                    self.output.flush(&mut to)?;
                }
                taken += frame::LENGTH + message.len();
                self.answer(&Message::read(message)?);
            }
            self.output.flush(&mut to)?;
            input.copy_within(taken..filled, 0);
            filled -= taken;
            match from.read(input.get_mut(filled..).unwrap_or_default()) {
                Ok(0) if filled == 0 => return Ok(()),
                Ok(0) => return Err(Error::Unfinished),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn answer(&mut self, message: &Message<'_>) {
        let (number, request) = match message {
            Message::Init(_) => return self.output.put(0, &Reply::Version),
            Message::Request(number, request) => (*number, request),
        };
        let answer = match self.access.allows(request) {
            true => self.serve_one(number, request),
            false => Err(Failure::ACCESS),
        };
        let reply = match &answer {
            Ok(Answer::Given) => return,
            Ok(Answer::Done) => Reply::Status(Code::Ok, "Success"),
            Ok(Answer::Handle(handle)) => Reply::Handle(handle),
            Ok(Answer::Names(names)) => Reply::Names(names),
            Ok(Answer::Attributes(attributes)) => Reply::Attributes(*attributes),
            Ok(Answer::StatVfs(found)) => Reply::StatVfs(metadata::figures(found)),
            Ok(Answer::Limits) => Reply::Limits([
                MAX_MESSAGE as u64,
                MAX_DATA as u64,
                MAX_DATA as u64,
                MAX_HANDLES as u64,
            ]),
            Ok(Answer::Owners(users, groups)) => Reply::Owners(users, groups),
            Err(failure) => Reply::Status(failure.code, &failure.words),
        };
        self.output.put(number, &reply);
    }

    fn serve_one(&mut self, number: u32, request: &Request<'_>) -> Result<Answer, Failure> {
        match *request {
            Request::Open {
                path,
                flags,
                attributes,
            } => {
                let file = files::open(path, flags, &attributes)?;
                return Ok(Answer::Handle(self.handles.add_file(file)?));
            }
            Request::OpenFolder { path } => {
                let folder = Folder::open(path)?;
                return Ok(Answer::Handle(self.handles.add_folder(folder)?));
            }
            Request::Read {
                handle,
                offset,
                length,
            } => {
                let file = self.handles.file(handle)?;
                let fill = |buffer: &mut [u8]| file.read(buffer, offset);
                self.output.put_data(number, length as usize, fill)?;
                return Ok(Answer::Given);
            }
            Request::ReadFolder { handle } => {
                let owners = self.owners.get_or_insert_with(Owners::read);
                return Ok(Answer::Names(self.handles.folder(handle)?.next(owners)?));
            }
            Request::Write {
                handle,
                offset,
                data,
            } => self.handles.file(handle)?.write(data, offset)?,
            Request::Close { handle } => {
                if let Some(file) = self.handles.remove(handle)? {
                    file.close()?;
                }
            }
            Request::FileStat { handle } => {
                return attributes(fs::fstat(&self.handles.file(handle)?.file));
            }
            Request::LinkStat { path } => return attributes(fs::lstat(path)),
            Request::Stat { path } => return attributes(fs::stat(path)),
            Request::SetStat { path, attributes } => metadata::set_of_path(path, &attributes)?,
            Request::FileSetStat { handle, attributes } => {
                metadata::set_of_file(&self.handles.file(handle)?.file, &attributes)?;
            }
            Request::Remove { path } => fs::unlink(path)?,
            Request::MakeFolder { path, attributes } => {
                let mode = attributes.permissions.unwrap_or(NEW_FOLDER);
                fs::mkdir(path, metadata::mode(mode))?;
            }
            Request::RemoveFolder { path } => fs::rmdir(path)?,
            Request::RealPath { path } => return Ok(name(paths::real(path)?)),
            Request::Rename { from, to } => paths::rename(from, to)?,
            Request::ReadLink { path } => {
                let target = fs::readlink(path, Vec::new())?;
                return Ok(name(target.into_bytes()));
            }
            Request::SymbolicLink { target, link } => match self.links {
                Links::OpenSsh => fs::symlink(target, link)?,
                Links::Draft => fs::symlink(link, target)?,
            },
            Request::Extended(ref extended) => return self.serve_extended(extended),
            Request::Refused => return Err(Failure::ACCESS),
            Request::Unknown(_) => return Err(Failure::UNSUPPORTED),
        }
        Ok(Answer::Done)
    }

    fn serve_extended(&mut self, extended: &Extended<'_>) -> Result<Answer, Failure> {
        match *extended {
            Extended::PosixRename { from, to } => fs::rename(from, to)?,
            Extended::HardLink { from, to } => paths::hard_link(from, to)?,
            Extended::FileSync { handle } => fs::fsync(&self.handles.file(handle)?.file)?,
            Extended::LinkSetStat { path, attributes } => {
                metadata::set_of_link(path, &attributes)?;
            }
            Extended::CopyData(ref copy) => files::copy(&mut self.handles, copy)?,
            Extended::StatVfs { path } => return Ok(Answer::StatVfs(fs::statvfs(path)?)),
            Extended::FileStatVfs { handle } => {
                let file = &self.handles.file(handle)?.file;
                return Ok(Answer::StatVfs(fs::fstatvfs(file)?));
            }
            Extended::Limits => return Ok(Answer::Limits),
            Extended::ExpandPath { path } => return Ok(name(paths::expand(path)?)),
            Extended::HomeDirectory { user } => {
                return Ok(name(names::home(user).ok_or(Failure::NO_USER)?));
            }
            Extended::Names { users, groups } => {
                if users.len().max(groups.len()) > MAX_IDS * size_of::<u32>() {
                    return Err(Failure::INVALID);
                }
                let owners = self.owners.get_or_insert_with(Owners::read);
                let users = owners.packed_users(users);
                return Ok(Answer::Owners(users, owners.packed_groups(groups)));
            }
            Extended::Unknown => return Err(Failure::UNSUPPORTED),
        }
        Ok(Answer::Done)
    }
}

fn attributes(stat: rustix::io::Result<fs::Stat>) -> Result<Answer, Failure> {
    Ok(Answer::Attributes(metadata::attributes(&stat?)))
}

/// A path alone, as REALPATH and READLINK answer.
fn name(name: Vec<u8>) -> Answer {
    Answer::Names(vec![Name {
        long: name.clone(),
        name,
        attributes: Attributes::default(),
    }])
}
