//! A file's attributes (draft-ietf-secsh-filexfer-02 §5). Each may be absent.

use bytes::BufMut;

use crate::wire::{Error, Fields};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 1 << 31;

/// A file's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// In bytes.
    pub size: Option<u64>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Permissions and kind, as `st_mode` has them.
    pub permissions: Option<u32>,
    /// Of the last access and of the last change, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

impl Attributes {
    /// Takes attributes. Extended ones, of which none is known, are left out.
    pub(crate) fn take(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let flags = fields.u32()?;
        let mut taken = Self::default();
        if flags & SIZE != 0 {
            taken.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            taken.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            taken.permissions = Some(fields.u32()?);
        }
        if flags & TIMES != 0 {
            taken.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..fields.u32()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(taken)
    }

    /// Appends the attributes.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, flag: u32| if there { flag } else { 0 };
        out.put_u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            out.put_u64(size);
        }
        if let Some((user, group)) = self.owner {
            out.put_u32(user);
            out.put_u32(group);
        }
        if let Some(permissions) = self.permissions {
            out.put_u32(permissions);
        }
        if let Some((accessed, changed)) = self.times {
            out.put_u32(accessed);
            out.put_u32(changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_may_be_absent() {
        for present in 0..16 {
            let has = |bit: u32| present & bit != 0;
            let attributes = Attributes {
                size: has(1).then_some(1 << 40),
                owner: has(2).then_some((1000, 100)),
                permissions: has(4).then_some(0o100_644),
                times: has(8).then_some((1, 2)),
            };
            let mut bytes = Vec::new();
            attributes.put(&mut bytes);
            let mut fields = Fields(&bytes);
            assert_eq!(Attributes::take(&mut fields), Ok(attributes));
            assert!(fields.0.is_empty());
            for cut in 0..bytes.len() {
                let short = Attributes::take(&mut Fields(&bytes[..cut]));
                assert_eq!(short, Err(Error::Short));
            }
        }
    }

    #[test]
    fn extended_ones_are_left_out() {
        let bytes = [
            &[0x80, 0, 0, 0, 0, 0, 0, 1][..],
            &[0, 0, 0, 1, b'a'],
            &[0; 4],
        ]
        .concat();
        let taken = Attributes::take(&mut Fields(&bytes));
        assert_eq!(taken, Ok(Attributes::default()));
    }
}
